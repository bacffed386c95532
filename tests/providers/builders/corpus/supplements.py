"""What the code of an entry does where its facts leave it out: read in the public repository, or in the label's notes."""

from typing import Any

FACTS: dict[str, dict[str, Any]] = {
    # The fixture collects static files, so its settings have a place for them; Django writes manage.py itself.
    "heroku-python--django_staticfiles_latest_django": {
        "backend/manage.py": "DJANGO_SETTINGS_MODULE testproject.settings",
        "backend/testproject/settings.py": {"STATIC_ROOT": ["'staticfiles'"]},
    },
    "nixpacks--deno": {"src/index.ts": "imports https://deno.land/x/cowsay/mod.ts"},
    "railpack--node-npm-workspaces": {"packages/api/index.js": "imports express; listens; reads PORT, default 3000"},
    "render--actix-todo": {"src/main.rs": "binds 0.0.0.0:10000"},
}

FILES: dict[str, dict[str, str]] = {
    "not-an-app--hugo-build-action": {"action.yml": "name: Build\nruns:\n  using: docker\n  image: Dockerfile\n"},
    "nixpacks--scala-sbt": {
        "build.sbt": 'name := "example"\nlazy val root = (project in file(".")).enablePlugins(JavaAppPackaging)\n',
        "project/plugins.sbt": 'addSbtPlugin("com.github.sbt" % "sbt-native-packager" % "1.9.13")\n',
    },
    "railpack--gleam": {"src/app_gleam.gleam": "pub fn main() {\n  Nil\n}\n"},
    "paketo--nginx-conf": {
        "nginx.conf": "daemon off;\nevents {}\nhttp {\n  include mime.types;\n"
        "  server { listen {{port}}; root public; index index.html; }\n}\n",
    },
}
"""Files that tools other than the language's own read; shortened to what decides."""
