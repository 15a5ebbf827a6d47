"""What keeps a hub from starting; each message is one line with what to do."""


class StartError(Exception):
    """The hub cannot start; the message is one line that says what is wrong and what to do."""


class EmbeddedServiceError(Exception):
    """A service could not be started; the message is one line that says why and what to do."""
