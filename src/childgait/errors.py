"""The error for everything that a user can correct.

A StepError is one sentence with the file, the row or the key, what was found and what was expected, followed by a hint.
It is printed without a traceback. Mistakes in this program are `assert` and keep their traceback.
"""


class StepError(Exception):
    """An error in the input that a user can correct: `StepError("what was found, and where", hint="what to do")`."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message.rstrip(".")
        self.hint = hint.rstrip(".")

    def __str__(self) -> str:
        return f"{self.message}. Hint: {self.hint}" + ("" if self.hint.endswith(("?", "!")) else ".")

    def __reduce__(self) -> tuple[object, ...]:  # so that a worker process can pass it to its parent
        return (_rebuild, (self.message, self.hint))


def _rebuild(message: str, hint: str) -> StepError:
    return StepError(message, hint=hint)
