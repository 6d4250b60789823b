"""The one error that a person can mend.

A StepError is one sentence that names the file, the row or the key, says what was found and what was expected, and
ends with a hint. It is printed without a traceback. Our own mistakes are `assert` and keep theirs.
"""


class StepError(Exception):
    """Something in the input that a person can mend: `StepError("what was found, where", hint="what to do")`."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message.rstrip(".")
        self.hint = hint.rstrip(".")

    def __str__(self) -> str:
        return f"{self.message}. Hint: {self.hint}" + ("" if self.hint.endswith(("?", "!")) else ".")

    def __reduce__(self) -> tuple[object, ...]:  # a worker process hands it back whole
        return (_rebuild, (self.message, self.hint))


def _rebuild(message: str, hint: str) -> StepError:
    return StepError(message, hint=hint)
