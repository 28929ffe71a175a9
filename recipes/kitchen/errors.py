"""One exception for everything a user can put right; the command line prints it as one sentence and exits with 2."""


class UserError(ValueError):
    "Bad input: the message says what, which value, and what is allowed."


class Refused(UserError):
    "The request is fine in itself but would destroy or contradict something that is already on disk."
