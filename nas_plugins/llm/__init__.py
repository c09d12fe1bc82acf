"""Language models for search strategies: who answers, within which budget, on which record.

>>> from nas_plugins.llm import ChatRequest, ChatSession, Message, chat_model
>>> session = ChatSession(chat_model("null"))
>>> request = ChatRequest((Message("user", "a digit?"),), uniform=lambda rng: str(rng.integers(9)))
>>> reply, record = session.ask(request)
>>> reply.text.isdigit(), record.outcome
(True, 'ok')
"""

from __future__ import annotations

from nas_plugins.llm.base import (
    ChatModel,
    ChatReply,
    ChatRequest,
    Message,
    as_chat_model,
    chat_model,
)
from nas_plugins.llm.budget import Budget, Spent
from nas_plugins.llm.errors import (
    BudgetExceededError,
    ChatError,
    ChatSetupError,
    RefusedChatError,
    ReplayMissError,
    TransientChatError,
)
from nas_plugins.llm.ledger import CallRecord, read_ledger
from nas_plugins.llm.limits import RateLimits
from nas_plugins.llm.prices import Price, Prices
from nas_plugins.llm.retry import RetryPolicy
from nas_plugins.llm.session import MODES, ChatSession

__all__ = [
    "MODES",
    "Budget",
    "BudgetExceededError",
    "CallRecord",
    "ChatError",
    "ChatModel",
    "ChatReply",
    "ChatRequest",
    "ChatSession",
    "ChatSetupError",
    "Message",
    "Price",
    "Prices",
    "RateLimits",
    "RefusedChatError",
    "ReplayMissError",
    "RetryPolicy",
    "Spent",
    "TransientChatError",
    "as_chat_model",
    "chat_model",
    "read_ledger",
]
