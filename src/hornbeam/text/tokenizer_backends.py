"""Tokenizers of the library tokenizers: from vocabularies, and trained on texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hornbeam._internal.extras import required

UNKNOWN = "<unk>"
GPT2_TOKENS = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
BERT_TOKENS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}  # fmt: skip


def present(roles: Mapping[str, str], vocabulary: Iterable[str]) -> dict[str, str]:
    tokens = set(vocabulary)
    return {role: token for role, token in roles.items() if token in tokens}


def check_text(text: str | bytes) -> str:
    if isinstance(text, (bytes, bytearray)):
        return text.decode("utf-8", errors="replace")
    if not isinstance(text, str):
        raise TypeError(f"a tokenizer encodes text, got {type(text).__name__}. For several, use encode_batch")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text has half of a surrogate pair, which is no character, at {error.start}. Replace "
            'it: text.encode("utf-8", "replace").decode()'
        ) from None
    return text


def byte_pairs(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    with required("GPT-2's tokenizer needs tokenizers", "text"):
        from tokenizers import AddedToken, Tokenizer, models
    backend = _built(lambda: Tokenizer(models.BPE(dict(vocabulary), [(a, b) for a, b in merges])))
    _split_bytes(backend)
    special = set(present(GPT2_TOKENS, vocabulary).values())
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return backend


def _split_bytes(backend: Any) -> None:
    from tokenizers import decoders, pre_tokenizers, processors

    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)


def wordpiece(vocabulary: Mapping[str, int], lowercase: bool) -> Any:
    with required("BERT's tokenizer needs tokenizers", "text"):
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in vocabulary]
    if missing:
        raise ValueError(f"the vocabulary lacks {', '.join(missing)}")
    backend = _built(lambda: Tokenizer(models.WordPiece(dict(vocabulary), unk_token="[UNK]")))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    ids = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    backend.add_special_tokens(sorted(present(BERT_TOKENS, vocabulary).values()))
    return backend


def _built(build: Any) -> Any:
    try:
        return build()
    except Exception as error:  # tokenizers raises Exception itself
        raise ValueError(f"the vocabulary does not fit: {str(error)[:300]}") from error


def _train_byte_pairs(texts: Iterable[str], size: int, end: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    _split_bytes(backend)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        map(check_text, texts),
        trainers.BpeTrainer(
            vocab_size=size, special_tokens=[end], initial_alphabet=sorted(alphabet), show_progress=False
        ),
    )
    return backend


def _train_unigram(texts: Iterable[str], size: int, end: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.train_from_iterator(
        map(check_text, texts),
        trainers.UnigramTrainer(
            vocab_size=size, special_tokens=[end, UNKNOWN], unk_token=UNKNOWN, show_progress=False
        ),
    )
    return backend


def _train_characters(texts: Iterable[str], size: int, end: str) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(check_text(text))
    if not counts:
        raise ValueError("a tokenizer learns from texts, and these are empty")
    kept = sorted(character for character, _ in counts.most_common(size - 2))
    vocabulary = {token: index for index, token in enumerate([*kept, end, UNKNOWN])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (end, UNKNOWN)])
    return backend


TRAINERS = {"bpe": _train_byte_pairs, "unigram": _train_unigram, "characters": _train_characters}
