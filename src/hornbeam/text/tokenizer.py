"""Texts to ids of tokens and back, by the library tokenizers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam._internal.validation import check_choice, check_int
from hornbeam.text.chat_template import render
from hornbeam.text.tokenizer_backends import (
    BERT_TOKENS,
    GPT2_TOKENS,
    TRAINERS,
    UNKNOWN,
    byte_pairs,
    check_text,
    present,
    wordpiece,
)
from hornbeam.text.tokenizer_files import (
    FILE,
    SETTINGS,
    file_of,
    parsed,
    read_json,
    read_merges,
    read_text,
    template_beside,
    token_text,
)

if TYPE_CHECKING:
    import tokenizers

# Special tokens by their role, with the names of tokenizer_config.json.
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token")


@dataclass(frozen=True)
class EncodedBatch:
    """Texts as one array of ids, padded to the longest.

    Args:
        ids: Array (texts, tokens) of int32.
        mask: Array (texts, tokens) of booleans, False for padding.
        offsets: Array (texts, tokens, 2) of int32: where each token begins and ends in its text, counted in
            characters; zeros for padding and for special tokens that were added.
    """

    ids: np.ndarray
    mask: np.ndarray
    offsets: np.ndarray


class Tokenizer:
    """Splits texts into tokens of a fixed vocabulary, and joins tokens to texts.

    `Tokenizer.from_file` reads a published tokenizer, `Tokenizer.train` makes one from texts.

    Args:
        backend: A `tokenizers.Tokenizer`.
        special_tokens: Special tokens by role, such as {"eos_token": "<|endoftext|>"}. The roles are those of
            `tokenizer_config.json`.
        chat_template: Jinja template of conversations, or None.

    Raises:
        ValueError: If a special token has no known role or is not in the vocabulary.

    Example:
        >>> texts = ["to be or not to be", "that is the question"]
        >>> tokenizer = hornbeam.text.Tokenizer.train(texts, 300)
        >>> tokenizer.decode(tokenizer.encode("to be"))
        'to be'
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        special_tokens: Mapping[str, str] | None = None,
        chat_template: str | None = None,
    ) -> None:
        self.backend = backend
        # Files may ask for these; here the caller does.
        backend.no_padding()
        backend.no_truncation()
        self.special_tokens = dict(special_tokens or {})
        self.chat_template = chat_template
        for role, token in self.special_tokens.items():
            check_choice("the role of a special token", role, ROLES)
            if backend.token_to_id(token) is None:
                raise ValueError(f"the {role} {token!r} is not in the vocabulary of {self.vocabulary_size:,}")

    # -- where tokenizers come from --------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Read a tokenizer.

        Args:
            path: A `tokenizer.json`; `vocab.txt`, a vocabulary of WordPiece; `vocab.json`, GPT-2's vocabulary
                with `merges.txt` beside it; or a folder with one of them. `tokenizer_config.json` and
                `chat_template.jinja` of the same folder are read, too.

        Returns:
            The tokenizer.

        Raises:
            ImportError: If tokenizers is not installed.
            FileNotFoundError: If there is no such file.
            ModelFileError: If a file is damaged, or larger than `saving.budget` allows.

        Example:
            >>> tokenizer = hornbeam.text.Tokenizer.from_file("gpt2/tokenizer.json")  # doctest: +SKIP
        """
        path = file_of(Path(path))
        settings = read_json(path.with_name(SETTINGS)) if path.with_name(SETTINGS).is_file() else {}
        special = {role: token for role in ROLES if (token := token_text(settings.get(role))) is not None}
        if path.name == "vocab.txt":
            tokens = read_text(path).splitlines()
            lowercase = settings.get("do_lower_case", True)
            backend = wordpiece({token: index for index, token in enumerate(tokens)}, lowercase is not False)
            special = {**present(BERT_TOKENS, tokens), **special}
        elif path.name == "vocab.json":
            vocabulary = read_json(path)
            backend = byte_pairs(vocabulary, read_merges(path.with_name("merges.txt")))
            special = special or present(GPT2_TOKENS, vocabulary)
        else:
            with required("tokenizers of files need tokenizers", "text"):
                from tokenizers import Tokenizer as Backend
            backend = parsed(path, Backend.from_str, read_text(path))
        known = {role: token for role, token in special.items() if backend.token_to_id(token) is not None}
        return cls(backend, known, template_beside(path, settings))

    @classmethod
    def from_merges(cls, vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
        """Build a tokenizer of byte pairs, as GPT-2 has it.

        Args:
            vocabulary: Id of each token, which is written in GPT-2's letters for bytes.
            merges: Pairs of tokens that are joined, the most important first.

        Returns:
            The tokenizer, with "<|endoftext|>" as special token if the vocabulary has it.

        Raises:
            ImportError: If tokenizers is not installed.

        Example:
            >>> tokenizer = hornbeam.text.Tokenizer.from_merges({"a": 0, "b": 1, "ab": 2}, [("a", "b")])
            >>> tokenizer.encode("abba")
            [2, 1, 0]

        Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners.
        """
        return cls(byte_pairs(vocabulary, merges), present(GPT2_TOKENS, vocabulary))

    @classmethod
    def from_wordpiece(cls, vocabulary: Mapping[str, int], lowercase: bool = True) -> Tokenizer:
        """Build a tokenizer of pieces of words, as BERT has it.

        Args:
            vocabulary: Id of each piece; pieces inside of words begin with "##". It has "[UNK]", "[CLS]" and
                "[SEP]".
            lowercase: Whether texts are converted to lower case, and accents removed.

        Returns:
            The tokenizer.

        Raises:
            ImportError: If tokenizers is not installed.
            ValueError: If the vocabulary lacks a special token.

        Example:
            >>> names = ["[UNK]", "[CLS]", "[SEP]", "play", "##ing"]
            >>> vocabulary = {token: index for index, token in enumerate(names)}
            >>> hornbeam.text.Tokenizer.from_wordpiece(vocabulary).encode("Playing")
            [1, 3, 4, 2]

        Source: Devlin et al. 2019, BERT.
        """
        return cls(wordpiece(vocabulary, lowercase), present(BERT_TOKENS, vocabulary))

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocabulary_size: int,
        kind: str = "bpe",
        end_token: str = "<|endoftext|>",
    ) -> Tokenizer:
        """Make a tokenizer from texts.

        Args:
            texts: The texts. They are read once.
            vocabulary_size: Largest number of tokens; "bpe" has at least 257.
            kind: "bpe", pairs of bytes that occur often, which encodes any text; "unigram", the pieces that
                make the texts most probable; or "characters", each character one token.
            end_token: Special token that ends a text.

        Returns:
            The tokenizer.

        Raises:
            ImportError: If tokenizers is not installed.
            ValueError: If an argument is not one of these, or the texts are empty.

        Example:
            >>> hornbeam.text.Tokenizer.train(["banana"], 10, kind="characters").encode("ban")
            [1, 0, 2]

        Source: Sennrich et al. 2016 (byte pairs); Kudo 2018 (unigram).
        """
        check_choice("kind", kind, tuple(TRAINERS))
        check_int("vocabulary_size", vocabulary_size, minimum=257 if kind == "bpe" else 3)
        with required("training a tokenizer needs tokenizers", "text"):
            import tokenizers  # noqa: F401
        backend = TRAINERS[kind](texts, vocabulary_size, end_token)
        roles = {"eos_token": end_token}
        return cls(backend, roles if kind == "bpe" else {**roles, "unk_token": UNKNOWN})

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`, which `from_file` and transformers read.

        Args:
            folder: The folder. It is created if need be.

        Example:
            >>> tokenizer.save("my_model")  # doctest: +SKIP
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        (target / FILE).write_text(self.backend.to_str(pretty=True), encoding="utf-8")
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", **self.special_tokens}
        if self.chat_template is not None:
            settings["chat_template"] = self.chat_template
        (target / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")

    # -- the vocabulary --------------------------------------------------------------------------------------

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, special ones included."""
        return int(self.backend.get_vocab_size())

    @property
    def vocabulary(self) -> dict[str, int]:
        """Id of each token."""
        return dict(self.backend.get_vocab())

    def special_id(self, role: str) -> int | None:
        """Return the id of a special token, None if the tokenizer has none of this role.

        Args:
            role: Such as "eos_token"; see `special_tokens`.

        Raises:
            ValueError: If no tokenizer has such a role.

        Example:
            >>> hornbeam.text.Tokenizer.train(["a"], 257).special_id("eos_token")
            0
        """
        token = self.special_tokens.get(check_choice("role", role, ROLES))
        return None if token is None else self.backend.token_to_id(token)

    # -- texts and ids ---------------------------------------------------------------------------------------

    def encode(self, text: str | bytes, *, special_tokens: bool = True) -> list[int]:
        """Return the ids of a text's tokens.

        Args:
            text: The text; bytes are read as UTF-8, with U+FFFD for those that are none.
            special_tokens: Whether the tokens that the tokenizer puts around a text are added.

        Raises:
            TypeError: If it is no text.
            ValueError: If it has half of a surrogate pair, which is no character.

        Example:
            >>> hornbeam.text.Tokenizer.train(["a"], 257).encode("aa")
            [65, 65]
        """
        return list(self.backend.encode(check_text(text), add_special_tokens=special_tokens).ids)

    def encode_batch(
        self,
        texts: Sequence[str | bytes],
        *,
        special_tokens: bool = True,
        padding: str = "right",
        max_length: int | None = None,
    ) -> EncodedBatch:
        """Encode several texts as one array. Python's other threads run meanwhile.

        Padding has the id of the "pad_token", else of the "eos_token", else 0; models ignore it by the mask.

        Args:
            texts: The texts.
            special_tokens: As in `encode`.
            padding: Side of the padding: "right", or "left", as generation needs it.
            max_length: Number of tokens to which longer texts are cut, at their end; None for no limit.

        Returns:
            Arrays of ids, mask and offsets.

        Raises:
            TypeError: If one is no text.
            ValueError: If an argument is not one of these.

        Example:
            >>> tokenizer = hornbeam.text.Tokenizer.train(["a"], 257)
            >>> tokenizer.encode_batch(["aa", "a"], padding="left").mask.tolist()
            [[True, True], [False, True]]
        """
        check_choice("padding", padding, ("right", "left"))
        prepared = [check_text(text) for text in texts]
        encoded = self._encoded(prepared, special_tokens, max_length)
        length = max((len(each.ids) for each in encoded), default=0)
        pad = next((x for x in map(self.special_id, ("pad_token", "eos_token")) if x is not None), 0)
        ids = np.full((len(encoded), length), pad, "int32")
        mask = np.zeros((len(encoded), length), bool)
        offsets = np.zeros((len(encoded), length, 2), "int32")
        for row, each in enumerate(encoded):
            size = len(each.ids)
            part = slice(0, size) if padding == "right" else slice(length - size, length)
            ids[row, part], mask[row, part] = each.ids, True
            offsets[row, part] = np.reshape(each.offsets, (size, 2))
        return EncodedBatch(ids, mask, offsets)

    def _encoded(self, texts: list[str], special_tokens: bool, max_length: int | None) -> list[Any]:
        if max_length is not None:
            added = self.backend.num_special_tokens_to_add(False) if special_tokens else 0
            check_int("max_length", max_length, minimum=added + 1)
        encoded = self.backend.encode_batch(texts, add_special_tokens=special_tokens)
        if max_length is None or all(len(each.ids) <= max_length for each in encoded):
            return list(encoded)
        # The setting belongs to the backend, which other threads may use: a copy has it.
        from tokenizers import Tokenizer as Backend

        limited = Backend.from_str(self.backend.to_str())
        limited.enable_truncation(max_length)
        return list(limited.encode_batch(texts, add_special_tokens=special_tokens))

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of tokens. Bytes that are no UTF-8 become U+FFFD.

        Args:
            ids: Ids of tokens.
            skip_special_tokens: Whether special tokens are omitted.

        Raises:
            ValueError: If an id is not in the vocabulary.

        Example:
            >>> hornbeam.text.Tokenizer.train(["a"], 257).decode([65, 65])
            'aa'
        """
        numbers = [int(i) for i in ids]
        # Models often have more rows than tokens; `tokenizers` omits such ids without a word.
        wrong = next((i for i in numbers if i < 0 or self.backend.id_to_token(i) is None), None)
        if wrong is not None:
            raise ValueError(f"the id {wrong} is not in the vocabulary of {self.vocabulary_size:,} tokens")
        return str(self.backend.decode(numbers, skip_special_tokens=skip_special_tokens))

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """Return a conversation as the prompt of this tokenizer's model.

        The template of the file is rendered by jinja2's sandbox, with limits on its work. Encode the prompt
        with `special_tokens=False`: the template writes them.

        Args:
            messages: Dicts with "role" ("system", "user" or "assistant") and "content".
            add_generation_prompt: Whether the prompt ends with the beginning of an answer.
            **variables: Other variables of the template, such as `tools`.

        Raises:
            ImportError: If jinja2 is not installed.
            ValueError: If the tokenizer has no template, or the template refuses the messages.
            ModelFileError: If the template is no valid Jinja, or asks for more than a template may.

        Example:
            >>> prompt = tokenizer.apply_chat_template(
            ...     [{"role": "user", "content": "Hello"}]
            ... )  # doctest: +SKIP
        """
        if self.chat_template is None:
            raise ValueError(
                "the tokenizer has no chat template, as its model only continues texts: write the prompt "
                "yourself, or set tokenizer.chat_template"
            )
        values = {**self.special_tokens, "add_generation_prompt": add_generation_prompt, **variables}
        return render(self.chat_template, messages, values)
