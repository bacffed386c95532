"""Small applications in the languages other than Node.js, with what their home page has to say.

What cannot be built without a registry is not here: .NET has no Debian package; Mix, Bundler, Cargo's crates, Maven's
and Gradle's plugins come from registries that a test machine need not reach, so Java is compiled by its own compiler.
"""

from tests.e2e.repositories import Repository

_GO = """\
package main

import (
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		page, err := os.ReadFile("templates/page.html")
		if err == nil {
			err = os.WriteFile("app.db", page, 0o600)
		}
		if err != nil {
			page = []byte(err.Error())
		}
		answer.Write(page)
	})
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
"""
_NGINX = """\
daemon off;
events {}
http {
  include mime.types;
  access_log /dev/stdout;
  server { listen {{port}}; root public; }
}
"""
_RUST = """\
use std::io::{Read, Write};
use std::net::TcpListener;

fn main() {
    let port = std::env::var("PORT").unwrap();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let body = std::fs::read_to_string("templates/page.html").unwrap();
        let _ = write!(stream, "HTTP/1.0 200 OK\\r\\nContent-Length: {}\\r\\n\\r\\n{}", body.len(), body);
    }
}
"""
_JAVA = """\
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class App {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            byte[] body = "java answers".getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }
}
"""
_RUBY = """\
require "socket"
server = TCPServer.new("0.0.0.0", ENV.fetch("PORT").to_i)
loop do
  visitor = server.accept
  visitor.gets
  visitor.print "HTTP/1.0 200 OK\\r\\nContent-Length: 12\\r\\n\\r\\nruby answers"
  visitor.close
end
"""
_HTTP = """\
import http.server, os


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"plain python answers")


http.server.HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
"""
_SETTINGS = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
DATABASE_URL = os.environ["DATABASE_URL"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = "collected"
STATICFILES_DIRS = ["assets"]
"""
_URLS = """\
import pathlib
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(f"django answers {pathlib.Path('collected').is_dir()}"))]
"""
_WSGI = 'import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\napplication = get_wsgi_application()\n'
_MANAGE = 'import os, sys\nfrom django.core.management import execute_from_command_line\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\nexecute_from_command_line(sys.argv)\n'
_FACTORY = 'from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n    app.route("/")(lambda: "factory answers")\n    return app\n'

LANGUAGE_APPS = {
    "staticfile": Repository("staticfile answers", {"Staticfile": "root: site\n", "site/index.html": "staticfile answers", "README.md": ""}, summary="Static site · site/"),
    "python-alone": Repository("plain python answers", {"web.py": _HTTP, "Procfile": "web: python3 web.py\nworker: python3 -c 'print(\"worked\")'\n"}, "python", summary="http.server"),
    "python-factory": Repository("factory answers", {"requirements.txt": "flask\n", "shop/__init__.py": _FACTORY}, "python", summary="Flask, pip"),
    "python-asgi": Repository(
        "asgi answers",
        {"pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = []\n', "main.py": "# app = Flask(__name__)\nasync def app(scope, receive, send):\n    if scope['type'] == 'http':\n        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n        await send({'type': 'http.response.body', 'body': b'asgi answers'})\n"},
        "python", summary="ASGI, pip",
    ),
    "python-pipenv": Repository("wsgi answers", {"Pipfile": "[packages]\n", "app.py": "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'wsgi answers']\n"}, "python", summary="WSGI, Pipenv"),
    "django": Repository(
        "django answers True",
        {"requirements.txt": "django<5\n", "manage.py": _MANAGE, "shop/__init__.py": "", "shop/settings.py": _SETTINGS, "shop/urls.py": _URLS, "shop/wsgi.py": _WSGI, "assets/a.css": ""},
        "python", variables={"SECRET_KEY": "x", "DATABASE_URL": "x"}, summary="Django, pip",
    ),
    "mkdocs": Repository("mkdocs answers", {"mkdocs.yml": "site_name: mkdocs answers\n", "docs/index.md": "# hello\n"}, "python", summary="MkDocs"),
    "sphinx": Repository("sphinx answers", {"conf.py": "project = 'x'\nextensions = ['myst_parser']\n", "index.md": "# sphinx answers\n"}, "python", summary="Sphinx"),
    "pelican": Repository("pelican answers", {"pelicanconf.py": "SITENAME = 'pelican answers'\nTIMEZONE = 'UTC'\n", "content/a.md": "Title: a\nDate: 2026-01-01\n\nhello\n"}, "python", summary="Pelican"),
    "nginx": Repository("nginx answers", {"nginx.conf": _NGINX, "mime.types": "types { text/html html; }\n", "public/index.html": "nginx answers"}, "nginx", summary="nginx"),
    "streamlit": Repository("<title>Streamlit</title>", {"requirements.txt": "streamlit\n", "hello.py": "import streamlit as st\nst.write('hello')\n"}, "python", summary="Streamlit, pip"),
    "hugo": Repository(
        "hugo answers",
        {"hugo.toml": 'title = "x"\n', "content/_index.md": "---\ntitle: hugo answers\n---\n", "layouts/index.html": "<h1>{{ .Title }}</h1>\n"},
        "python", summary="Hugo",
    ),
    "go-files": Repository("go reads its files", {"go.mod": "module shop\n\ngo 1.19\n", "cmd/web/main.go": _GO, "cmd/job/main.go": "package main\n\nfunc main() {}\n", "templates/page.html": "go reads its files"}, "go", summary="cmd/web"),
    "go-procfile": Repository("go reads its files", {"go.mod": "module example.org/shop\n\ngo 1.19\n", "main.go": _GO, "templates/page.html": "go reads its files", "Procfile": "web: bin/shop\n"}, "go", summary="main package"),
    "rust": Repository("rust reads its files", {"Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n', "src/main.rs": _RUST, "templates/page.html": "rust reads its files"}, "rust", summary="Rust"),
    "java": Repository("java answers", {"pom.xml": "<project><artifactId>shop</artifactId></project>", "src/main/java/App.java": _JAVA}, "java", summary="Java"),
    "ruby-alone": Repository("ruby answers", {"Gemfile": 'source "https://gems.invalid"\n', "Procfile": "web: ruby server.rb\n", "server.rb": _RUBY}, "ruby", summary="Ruby"),
    "php-htdocs": Repository("php answers", {"htdocs/index.php": '<?php echo "php answers";\n', "Procfile": "web: heroku-php-apache2 htdocs/\n"}, "php", summary="PHP"),
}  # fmt: skip
"""By name; each is built by the template builder and run as the container's own user."""

OPTIONS = {
    "java": {
        "build": "mkdir -p target/made && javac -d target/made src/main/java/App.java && jar --create --file target/app.jar --main-class App -C target/made ."
    }
}
