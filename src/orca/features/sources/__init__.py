"""Where code comes from: Git repositories, uploads, images, pushes."""
