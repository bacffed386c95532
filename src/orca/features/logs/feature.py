"""The manifest of logs: what services write, stored, searched and shown."""

from orca.features.deployments.steps.last_words import LAST_WORDS
from orca.features.logs import api, pages
from orca.features.logs.collector import keep_last_words
from orca.features.logs.retention import keep_lines
from orca.features.manifest import Feature, Verb
from orca.web.nav import Tab

FEATURE = Feature(
    name="logs",
    routers=(api.router, pages.router),
    tabs=(Tab("service", "logs", "Logs", "/output", 30),),
    verbs=(Verb("Logs of {}", "/output", "terminal", "service.read", 10),),
    readers=(LAST_WORDS.implemented_by(keep_last_words),),
    companion=keep_lines,
)
