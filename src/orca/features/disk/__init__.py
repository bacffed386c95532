"""What Orca keeps on the disk and in its database, and for how long."""
