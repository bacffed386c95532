"""The manifest of routing: hostnames, certificates, and the configuration of the proxy."""

from orca.features.manifest import EventKind, EventWords, Feature, FirstStep, Permission, Verb
from orca.features.routing import api, events, metrics, pages, tasks
from orca.features.routing.operations import adopt_stored
from orca.features.routing.queries.certificates import find_certificate_scope, find_dns_credential_scope
from orca.features.routing.queries.routes import find_route_scope, has_own_hostname
from orca.web.nav import SETTINGS, NavItem, Tab

FEATURE = Feature(
    name="routing",
    routers=(api.router, pages.router),
    tags={"routing": "Hostnames and certificates."},
    permissions=(
        Permission("certificate.create", "Upload a certificate with its private key.", "owner", whole_team=True),
        Permission("certificate.delete", "Remove an uploaded certificate.", "owner", whole_team=True),
        Permission(
            "certificate.read", "See certificates, their names and when they expire.", "viewer", whole_team=True
        ),
        Permission("dns.create", "Store access to a DNS provider.", "owner", whole_team=True),
        Permission("dns.delete", "Remove stored access to a DNS provider.", "owner", whole_team=True),
        Permission(
            "dns.read", "See which access to DNS providers there is, never its secrets.", "viewer", whole_team=True
        ),
        Permission("dns.update", "Change and try stored access to a DNS provider.", "owner", whole_team=True),
        Permission("route.create", "Give a service a hostname.", "member"),
        Permission("route.delete", "Take a hostname from a service.", "member"),
        Permission("proxy.read", "See the state of the proxy, which serves all teams.", "instance admin"),
        Permission("route.read", "See hostnames and how they are served.", "viewer"),
        Permission(
            "route.share", "Use a hostname that a service elsewhere in the team has, too.", "member", whole_team=True
        ),
        Permission("route.update", "Change how a hostname is served.", "member"),
    ),
    nav=(NavItem("Certificates", "/certificates", "shield", 74, "certificate.read", section=SETTINGS, group="Team"),),
    tabs=(Tab("service", "domains", "Domains", "/domains", 50),),
    verbs=(Verb("Domains of {}", "/domains", "globe", "route.read", 80),),
    first_steps=(
        FirstStep(
            "Use your own domain",
            "Its DNS records are shown to copy, and a certificate is ordered by itself.",
            "/services/{service}/domains",
            "Add a hostname",
            "route.create",
            20,
            has_own_hostname,
        ),
    ),
    event_kinds=(EventKind("hostnames", "Hostnames and certificates", 40),),
    events=(
        EventWords("Route", "hostnames"),
        EventWords("Certificate", "hostnames"),
        EventWords("Proxy", "hostnames"),
        EventWords("DnsCredential", "credentials"),
    ),
    webhooks=events.WEBHOOKS,
    periodic=tasks.PERIODIC,
    owners={
        "route_id": find_route_scope,
        "certificate_id": find_certificate_scope,
        "dns_credential_id": find_dns_credential_scope,
    },
    subscribers=(
        ("ServiceCreated", tasks.on_service_changed),
        ("ServiceUpdated", tasks.on_service_changed),
        ("ServiceDeleted", tasks.on_service_deleted),
    ),
    measures=metrics.make_measures,
    prepare=adopt_stored,
)
