"""Tools of an older time, and the versions of Node.js that they still work with. Pure."""

from orca.providers.builders.template.node.commands import expand
from orca.providers.builders.template.node.package import NodeProject, Package

OPENSSL = "--openssl-legacy-provider"
_LAST_BEFORE_OPENSSL_3 = 16
_WEBPACK_4 = {
    "react-scripts": ("react-scripts", 5), "react-app-rewired": ("react-scripts", 5), "craco": ("react-scripts", 5),
    "vue-cli-service": ("@vue/cli-service", 5), "vuepress": ("vuepress", 2), "webpack": ("webpack", 5),
    "next": ("next", 12), "nuxt": ("nuxt", 3), "gatsby": ("gatsby", 4), "preact": ("preact-cli", 4),
    "mix": ("laravel-mix", 6), "ng": ("@angular-devkit/build-angular", 12), "gridsome": ("gridsome", 1),
    "build-storybook": ("@storybook/react", 7),
}  # fmt: skip
"""Program of a build -> its package, and the first major version that works with Node.js 17 and later."""
_SASS = {"4": 14, "5": 14, "6": 16, "7": 16, "8": 18, "9": 20}
"""Major version of node-sass -> the last Node.js that it can be compiled for."""


def needs_old_openssl(project: NodeProject, package: Package) -> bool:
    """Whether the tool of the build hashes with what OpenSSL 3 has no more."""
    for command in expand(project, package.scripts.get(package.build_script, ""), package.folder):
        name, first = _WEBPACK_4.get(command.program, ("", 0))
        major = package.major(name)
        if major and int(major) < first and OPENSSL not in package.scripts[package.build_script]:
            return True
    return False


def newest_possible(project: NodeProject, package: Package) -> int | None:
    """The newest Node.js that all tools work with; None where there is no limit."""
    limits = [_SASS[major] for manifest in (project.root, package) if (major := manifest.major("node-sass")) in _SASS]
    if needs_old_openssl(project, package):
        limits.append(_LAST_BEFORE_OPENSSL_3)
    return min(limits, default=None)
