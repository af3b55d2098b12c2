"""The one failure the local servers know: a sentence for the person at the terminal.

No tracebacks and no logging live here.
"""


class StackError(Exception):
    """Something a person has to mend; the text is one line saying what happened and what to do.

    `detail` may hold more (the tail of a log); it is printed below the line.
    """

    def __init__(self, line: str, *, detail: str = "") -> None:
        super().__init__(line)
        self.line = line
        self.detail = detail
