"""What the languages that a test machine cannot build are told to do, line by line."""

from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe

MAC = "GEM\n  specs:\n    rack (3.1)\n\nPLATFORMS\n  arm64-darwin-24\n  x86_64-darwin-22\n\nDEPENDENCIES\n  rack\n"
RACK = {"Gemfile": 'gem "rack"\n', "config.ru": ""}
ADD = "RUN bundle lock --add-platform x86_64-linux aarch64-linux"
BLAZOR = '<Project Sdk="Microsoft.NET.Sdk.BlazorWebAssembly"><TargetFramework>net9.0</TargetFramework></Project>'
WEB = '<Project Sdk="Microsoft.NET.Sdk.Web"><TargetFramework>net9.0</TargetFramework></Project>'
MIX = 'def project, do: [app: :shop]\n{:phoenix, "~> 1.7"}\n'
CASES: dict[str, tuple[dict[str, str], str, list[str], str]] = {
    "lock of a Mac": ({**RACK, "Gemfile.lock": MAC}, "web", ["COPY . .", ADD], "arm64-darwin-24, x86_64-darwin-22 alone"),
    "lock of a server": ({**RACK, "Gemfile.lock": MAC.replace("x86_64-darwin-22", "x86_64-linux")}, "web", ["bundle install"], ""),
    "Blazor": ({"shop.csproj": BLAZOR}, "static", ["dotnet publish 'shop.csproj'", 'COPY --from=build ["/out/wwwroot/", "/srv/"]'], ""),
    "Blazor with its server": ({"a.sln": "", "client/client.csproj": BLAZOR, "server/server.csproj": WEB}, "web", ["server/server.csproj", "ASPNETCORE_FORWARDEDHEADERS_ENABLED=true"], ""),
    "Ruby with an upper bound": ({**RACK, "Gemfile": "ruby '>= 2.5.0', '< 3.2.0'\ngem 'rack'\n"}, "web", ["FROM ruby:3.1-slim"], ""),
    "Ruby of a major version": ({**RACK, "Gemfile": 'ruby "~> 3.1"\ngem "rack"\n'}, "web", ["FROM ruby:3.4-slim"], ""),
    "PHP behind a page": ({"index.html": "", "templates/login.php": ""}, "web", ["FROM php:", "/var/www/html"], ""),
    "PHP below public_html": ({"index.php": "", "public_html/index.php": ""}, "web", ["/var/www/html/public_html"], ""),
    "Go that embeds what is not there": ({"go.mod": "module x\n", "main.go": 'package main\n\nimport "net/http"\n\nvar (\n\t//go:embed site "page.html"\n\tf embed.FS\n)\n\nfunc main() { http.ListenAndServe(":1", nil) }\n', "page.html": ""}, "web", ["go build"], "embeds site, which is not in the source"),
    "Phoenix": ({"mix.exs": MIX, "config/runtime.exs": 'System.get_env("PHX_HOST")'}, "web", ["mix release"], "PHX_HOST"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_language_is_built_as_its_own_tools_want_it(case: str, tmp_path: Path) -> None:
    files, kind, lines, warning = CASES[case]
    found = find_recipe(make(tmp_path, files), TemplateOptions())
    assert isinstance(found, Recipe), found
    assert found.service_kind == kind
    places = [found.dockerfile.find(line) for line in lines]
    assert -1 not in places
    assert places == sorted(places)
    assert warning in " ".join(found.warnings)
    assert (ADD in found.dockerfile) == (case == "lock of a Mac")
