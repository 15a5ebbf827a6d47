"""What embedded services raise."""


class EmbeddedServiceError(Exception):
    """A service could not be started; the message is one line that says why and what to do."""
