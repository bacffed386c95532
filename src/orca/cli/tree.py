"""All commands, with their modules and summaries. Cheap to import: `orc --help` needs nothing else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NONE: Mapping[str, str] = MappingProxyType({})


class Entry(NamedTuple):
    """A word after `orc`. With `verbs` it is a noun, and the verbs are its commands."""

    name: str
    module: str
    """A module in `orca.cli.commands` that defines `COMMANDS`, by verb or by this entry's name."""
    summary: str
    verbs: Mapping[str, str] = _NONE


SECTIONS: Mapping[str, tuple[Entry, ...]] = {
    "Ship it": (
        Entry("init", "init", "Look at a folder and write a commented orca.yaml."),
        Entry("deploy", "deploy", "Send this folder, build it and make it live."),
        Entry("status", "status", "Show how the service of this folder is, or all services."),
        Entry("open", "open", "Open the URL of a service in the browser."),
        Entry("dashboard", "open", "Open the panel in the browser, at the page of a service or project."),
        Entry("link", "link", "Remember which service this folder belongs to."),
    ),
    "Run it": (
        Entry("logs", "logs", "Show what a service writes, or the log of a deployment."),
        Entry("ps", "ps", "List the replicas that run now."),
        Entry("exec", "exec", "Run a command or a shell in a running container."),
        Entry("run", "run", "Run a command once in a fresh container of the live release."),
        Entry("rollback", "lifecycle", "Make an earlier release live again."),
        Entry("scale", "lifecycle", "Run another number of replicas."),
        Entry("restart", "lifecycle", "Replace all replicas without downtime; a service with volumes is down then."),
        Entry("stop", "lifecycle", "Take a service down."),
        Entry("start", "lifecycle", "Start a stopped service with the release it had."),
    ),
    "Look back": (
        Entry(
            "deployments", "deployments", "Attempts to make a release live.",
            {"list": "List deployments, newest first.", "show": "Show one deployment with its steps.",
             "fix": "Change what would mend a deployment, and deploy again.",
             "follow": "Follow a deployment that runs.", "cancel": "Stop a deployment that waits or runs."},
        ),
        Entry("cancel", "deployments", "Stop the deployment of a service that waits or runs."),
        Entry(
            "releases", "releases", "What a rollback can go back to.",
            {"list": "List the releases of a service, newest first."},
        ),
        Entry(
            "audit", "audit", "The trail of everything that happened.",
            {"list": "List what happened, newest first.",
             "verify": "Prove that no event was changed, removed or put back."},
        ),
    ),
    "Set it up": (
        Entry(
            "projects", "projects", "Groups of services.",
            {"list": "List projects.", "create": "Make a project.", "delete": "Delete a project."},
        ),
        Entry(
            "environments", "environments", "Where the services of a project live: production, staging, …",
            {"list": "List environments.", "create": "Make an environment.", "delete": "Delete an empty environment."},
        ),
        Entry(
            "services", "services", "What can be deployed.",
            {"list": "List services.", "show": "Show one service.", "create": "Make a service.",
             "edit": "Change a service; the next deployment uses it.",
             "discard": "Discard what waits for the next deployment.",
             "grant": "Grant a service privileges beyond its containers.", "revoke": "Take privileges back.",
             "delete": "Delete a service; volumes stay."},
        ),
        Entry(
            "env", "env", "Environment variables of a service or project.",
            {"list": "List variables; secret ones without their value.", "set": "Set variables.",
             "unset": "Remove variables.", "import": "Set all variables of a file of KEY=value lines.",
             "pull": "Write variables to a file.", "edit": "Edit variables in $EDITOR.",
             "diff": "Compare variables with a file, or with what runs.",
             "reveal": "Show the value of a secret variable."},
        ),
        Entry(
            "domains", "domains", "Hostnames of a service.",
            {"list": "List hostnames and how they are served.", "add": "Give a service a hostname.",
             "edit": "Change how a hostname is served.", "remove": "Take a hostname away.",
             "check": "Look whether the world can reach a hostname.",
             "records": "Show the DNS records to make for a hostname.",
             "retry": "Order a certificate again, without waiting for the next try."},
        ),
        Entry(
            "volumes", "volumes", "Data that outlives containers.",
            {"list": "List volumes, detached ones too.", "add": "Add a volume to a service.",
             "attach": "Attach a volume that exists: a detached one, or one to share.",
             "edit": "Say whose the data of a volume is, and who may write to it.",
             "detach": "Take a volume from its service; the data stays.",
             "destroy": "Delete a detached volume and the data in it."},
        ),
        Entry(
            "hooks", "hooks", "Deploy on pushes.",
            {"list": "List push hooks.", "create": "Make a push hook and show its secret once.",
             "show": "Show a push hook and what arrived at it last.",
             "update": "Change who sends it and what deploys; address and secret stay.",
             "test": "Send a test delivery to the address of a push hook.",
             "replay": "Send a push through a push hook again.",
             "rotate": "Replace the secret of a push hook.",
             "delete": "Remove a push hook.", "pushes": "List what arrived, and what was decided about it."},
        ),
        Entry(
            "webhooks", "webhooks", "Send what happens to addresses of your own.",
            {"list": "List webhooks and how they are.", "add": "Add a webhook and show its secret once.",
             "update": "Change a webhook, or switch it on or off; its secret stays.",
             "test": "Send a test message and wait for the answer.", "rotate": "Replace the secret of a webhook.",
             "remove": "Remove a webhook.", "deliveries": "List what was sent, and what became of it.",
             "redeliver": "Send a message again."},
        ),
        Entry(
            "certificates", "certificates", "Certificates of your own, for hostnames with `--tls custom`.",
            {"list": "List certificates and when they end.", "add": "Upload a certificate with its key.",
             "replace": "Put another one into its place, for all names that use it.",
             "delete": "Remove one that no name uses."},
        ),
        Entry(
            "dns", "dns", "Access to DNS providers, for certificates of wildcards.",
            {"list": "List what is stored, never its secrets.", "providers": "List the providers and their fields.",
             "add": "Store access to a DNS provider.", "update": "Change its zones or what the provider wants to know.",
             "check": "Find each zone, and sign in at the provider for it.", "delete": "Remove what is stored."},
        ),
        Entry(
            "credentials", "credentials", "Keys and logins for private repositories and registries.",
            {"list": "List credentials, never their secrets.", "add-key": "Make a deploy key for Git over SSH.",
             "add-token": "Store a token for Git over HTTPS.", "add-registry": "Store a login for an image registry.",
             "set-host": "Say at which host a Git credential is used.", "delete": "Remove a credential."},
        ),
    ),
    "Who you are": (
        Entry("login", "login", "Sign in to a server with an API token."),
        Entry("logout", "login", "Forget the token of a server."),
        Entry("whoami", "login", "Show the server, who you are there, and what you may do."),
        Entry(
            "tokens", "tokens", "API tokens.",
            {"list": "List API tokens.", "create": "Make an API token and show it once.",
             "revoke": "Make an API token useless at once."},
        ),
        Entry(
            "grants", "grants", "Roles on a project, an environment or a system.",
            {"list": "List who has a role on what.", "add": "Give a user a role on a part of the team.",
             "remove": "Take such a role away."},
        ),
    ),
    "This machine": (
        Entry("serve", "machine", "Run Orca on this machine."),
        Entry("worker", "machine", "Run tasks in a process of their own (with PostgreSQL)."),
        Entry(
            "orphans", "orphans", "What runs here and is in no row of the database.",
            {"list": "List containers, hostnames and volumes that the database does not know.",
             "adopt": "Take one over as part of its service.", "remove": "Put the end of one on record."},
        ),
        Entry(
            "systems", "systems", "The machines that Orca manages.",
            {"list": "List systems, and whether they answer.", "show": "Show one system."},
        ),
        Entry("disk", "disk", "What takes room here, and for how long it is kept."),
        Entry("adopt", "machine", "Accept a database that was restored or moved by hand."),
        Entry("migrate-database", "machine", "Move from SQLite to PostgreSQL."),
        Entry("doctor", "machine", "Check what this machine needs to run Orca."),
        Entry(
            "proxy", "proxy", "The proxy that serves hostnames.",
            {"status": "Show whether the proxy runs.", "ca": "Print the root certificate of the internal CA."},
        ),
        Entry(
            "account", "account", "Accounts of this machine's Orca.",
            {"reset-password": "Replace a forgotten password."},
        ),
        Entry("completion", "completion", "Print a completion script for bash, zsh or fish."),
        Entry("version", "machine", "Print the version."),
    ),
}  # fmt: skip

ENTRIES: Mapping[str, Entry] = {entry.name: entry for section in SECTIONS.values() for entry in section}
