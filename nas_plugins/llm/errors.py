"""What can go wrong with a language model, as a small tree under `ChatError`.

No message ever holds an API key: what an endpoint answers is cleaned before it gets here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas_plugins.errors import NasPluginsError

if TYPE_CHECKING:
    from nas_plugins.llm.base import ChatReply
    from nas_plugins.llm.ledger import CallRecord


class ChatError(NasPluginsError, RuntimeError):
    """A language model gave no reply that can be used.

    Attributes:
        record: The call as the ledger holds it, once a session has written it.
        status: The HTTP status, where the endpoint sent one.
        reply: What came back and was paid for, where something did.
        billed: Whether the endpoint may have done the work, so that the tokens are gone.
    """

    record: CallRecord | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reply: ChatReply | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reply = reply
        self.billed = billed


class ChatSetupError(ChatError):
    """A chat model or session cannot be used as asked: no key, no such file, no price."""


class TransientChatError(ChatError):
    """The same call may succeed later: 408, 409, 429, 5xx, a timeout, a lost connection.

    Attributes:
        retry_after: Seconds that the endpoint asks to wait, where it does.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(message, status=status, billed=billed)
        self.retry_after = retry_after


class RefusedChatError(ChatError):
    """The model refuses to answer, or the endpoint's filter kept the answer back."""


class ReplayMissError(ChatError):
    """A recorded run does not hold this request."""


class BudgetExceededError(ChatError):
    """The next call would exceed the budget, so it was not made.

    Attributes:
        which: ``"calls"``, ``"tokens"``, ``"usd"`` or ``"seconds"``.
        limit: The budget.
        spent: What is used up, calls under way included.
    """

    def __init__(self, message: str, *, which: str, limit: float, spent: float) -> None:
        super().__init__(message)
        self.which = which
        self.limit = limit
        self.spent = spent
