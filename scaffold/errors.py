"""Why a project was not written."""


class ScaffoldError(Exception):
    """The base of everything the generator refuses; the message says what is accepted."""


class BadAnswer(ScaffoldError):
    """A name or a URL that cannot be used."""


class DirectoryTaken(ScaffoldError):
    """There is something already where the project was to go."""


class CannotAdopt(ScaffoldError):
    """There is no LangGraph project that an `agent.toml` could be written for."""


class CannotWrite(ScaffoldError):
    """The file system refused; nothing was left behind."""
