"""Tokenizers: the ids of the library itself, padding, files, and files from strangers."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from hornbeam import saving
from hornbeam.errors import ModelFileError
from hornbeam.text import Tokenizer
from tests.helpers.scripts import SCRIPTS, texts

tokenizers = pytest.importorskip("tokenizers")

MILLION = texts(1_000_000)
SAMPLE = texts(20_000)
MESSAGES = [{"role": "user", "content": " Hi "}, {"role": "assistant", "content": "Hello!"}]


@pytest.fixture(scope="module")
def byte_pairs() -> Tokenizer:
    return Tokenizer.train(SAMPLE, 2000)


@pytest.fixture(scope="module")
def pieces() -> dict[str, int]:
    letters = [chr(code) for a, b in SCRIPTS.values() for code in range(ord(a), ord(b) + 1) if code < 0x3000]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    return {name: index for index, name in enumerate([*names, "def", "return", "##ing", "12", ","])}


def test_byte_pairs_have_the_ids_of_the_library_over_a_million_characters(
    byte_pairs: Tokenizer, tmp_path: Path
) -> None:
    byte_pairs.backend.model.save(str(tmp_path))
    files = str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")
    theirs = tokenizers.ByteLevelBPETokenizer(*files)
    ours = Tokenizer.from_file(tmp_path)
    assert sum(map(len, MILLION)) > 1_000_000
    expected = theirs.encode_batch(MILLION)
    batch = ours.encode_batch(MILLION)
    for row, each in enumerate(expected):
        assert batch.ids[row, : len(each.ids)].tolist() == each.ids
        assert batch.mask[row].sum() == len(each.ids)
    assert [ours.decode(each.ids) for each in expected] == MILLION


@pytest.mark.parametrize("lowercase", [True, False])
def test_pieces_of_words_have_the_ids_of_the_library(pieces: dict[str, int], lowercase: bool) -> None:
    theirs = tokenizers.BertWordPieceTokenizer(pieces, lowercase=lowercase)
    ours = Tokenizer.from_wordpiece(pieces, lowercase)
    expected = theirs.encode_batch(SAMPLE)
    assert [ours.encode(text) for text in SAMPLE] == [each.ids for each in expected]
    assert any(each.ids.count(1) < len(each.ids) // 2 for each in expected)
    assert ours.special_tokens["cls_token"] == "[CLS]"


def test_a_folder_of_bert_is_read(pieces: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 512}')
    ours = Tokenizer.from_file(tmp_path)
    assert ours.encode("Def") == Tokenizer.from_wordpiece(pieces, lowercase=False).encode("Def")
    assert ours.special_id("pad_token") == 0
    assert ours.special_id("eos_token") is None


@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters"])
def test_trained_tokenizers_return_the_text_and_are_read_again(kind: str, tmp_path: Path) -> None:
    text = "She sells sea shells, and he sells sea salt. " * 9
    ours = Tokenizer.train([text.strip()], 300, kind)
    assert ours.decode(ours.encode(text.strip())) == text.strip()
    ours.save(tmp_path)
    again = Tokenizer.from_file(tmp_path)
    assert again.encode(text) == ours.encode(text)
    assert again.vocabulary == ours.vocabulary
    assert again.special_tokens == ours.special_tokens
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode(text).ids == ours.encode(text)


def test_characters_of_unseen_letters_are_unknown() -> None:
    ours = Tokenizer.train(["ab\n"], 10, "characters")
    assert ours.vocabulary == {"\n": 0, "a": 1, "b": 2, "<|endoftext|>": 3, "<unk>": 4}
    assert ours.encode("aöb\n") == [1, 4, 2, 0]


def test_bytes_that_are_no_utf8_are_replaced(byte_pairs: Tokenizer) -> None:
    broken = b"caf\xe9 \xff\xfe ok \xf0\x9f\x99"
    assert byte_pairs.decode(byte_pairs.encode(broken)) == broken.decode("utf-8", "replace")
    # The first byte of a character alone.
    assert byte_pairs.decode(byte_pairs.encode("🙂")[:1]) == "\ufffd"
    with pytest.raises(ValueError, match="half of a surrogate pair, which is no character, at 1"):
        byte_pairs.encode("a\ud800")
    with pytest.raises(TypeError, match=r"got list\. For several, use encode_batch"):
        byte_pairs.encode(["a"])


def test_padding_is_on_either_side(byte_pairs: Tokenizer) -> None:
    short, long = "To be", "To be, or not to be: that is the question"
    right = byte_pairs.encode_batch([short, long])
    left = byte_pairs.encode_batch([short, long], padding="left")
    size = len(byte_pairs.encode(short))
    assert right.mask.tolist()[0] == [True] * size + [False] * (right.mask.shape[1] - size)
    assert left.mask.tolist()[0] == right.mask.tolist()[0][::-1]
    for batch in (left, right):
        assert batch.ids[0][batch.mask[0]].tolist() == byte_pairs.encode(short)
        assert set(batch.ids[0][~batch.mask[0]].tolist()) == {byte_pairs.special_id("eos_token")}
        begins, ends = batch.offsets[1][batch.mask[1]].T
        assert "".join(long[a:b] for a, b in zip(begins, ends, strict=True)) == long
    assert byte_pairs.encode_batch([]).ids.shape == (0, 0)


def test_long_texts_are_cut_at_their_end(byte_pairs: Tokenizer, pieces: dict[str, int]) -> None:
    text = "To be, or not to be"
    assert byte_pairs.encode_batch([text], max_length=3).ids.tolist() == [byte_pairs.encode(text)[:3]]
    bert = Tokenizer.from_wordpiece(pieces)
    ids = bert.encode(text)
    assert bert.encode_batch([text], max_length=5).ids.tolist() == [[*ids[:4], ids[-1]]]
    assert bert.encode_batch([text], max_length=5, special_tokens=False).ids.tolist() == [ids[1:6]]
    assert bert.encode(text) == ids
    with pytest.raises(ValueError, match="max_length"):
        bert.encode_batch([text], max_length=2)


def test_ids_that_no_token_has_are_refused(byte_pairs: Tokenizer) -> None:
    with pytest.raises(ValueError, match=r"the id 2000 is not in the vocabulary of 2,000 tokens"):
        byte_pairs.decode([1, 2000])
    with pytest.raises(ValueError, match="the id -1"):
        byte_pairs.decode([-1])


def test_settings_of_files_that_pad_or_cut_are_not_followed(byte_pairs: Tokenizer, tmp_path: Path) -> None:
    byte_pairs.save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    content["truncation"] = {
        "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert len(Tokenizer.from_file(tmp_path / "tokenizer.json").encode(MILLION[-1])) > 2


# -- chat templates ------------------------------------------------------------------------------------------

CHATML = (
    "{%- for m in messages %}\n    {%- if loop.first and m.role != 'system' %}\n"
    "{{- '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}\n"
    "{{- '<|im_start|>' + m['role'] + '\n' + m.content | trim + '<|im_end|>\n' }}\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"
)


def test_a_conversation_becomes_a_prompt(byte_pairs: Tokenizer, tmp_path: Path) -> None:
    byte_pairs.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    ours = Tokenizer.from_file(tmp_path)
    prompt = ours.apply_chat_template(MESSAGES[:1])
    assert prompt == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert ours.apply_chat_template(MESSAGES, add_generation_prompt=False).endswith("Hello!<|im_end|>\n")
    with pytest.raises(ValueError, match="has no chat template"):
        byte_pairs.apply_chat_template(MESSAGES)


def test_templates_have_special_tokens_and_tools() -> None:
    ours = Tokenizer.train(["a"], 257)
    ours.chat_template = (
        "{{ eos_token }}{% for tool in tools %}{{ tool | tojson }}{{ loop.index }}{% endfor %}"
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}"
    )
    assert ours.apply_chat_template(MESSAGES, tools=[{"name": "<é>"}]) == '<|endoftext|>{"name": "<é>"}12'


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "more than 200,000"),
        ("{% set l = ['a'] * 9 %}", r"\* is for numbers"),
        ("{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
         "a text of more than"),
        ("{% for a in messages recursive %}{{ loop(messages) }}{% endfor %}", "recursion"),
        ("{{ 'a' * 1000000000 }}", r"\* is for numbers"),
        ("{{ '%1000000000d' % 1 }}", "% is for numbers"),
        ("{{ '{:>1000000000}'.format(1) }}", "'format'"),
        ("{{ 'a'.center(1000000000) }}", "'center'"),
        ("{{ 9 ** 9 ** 9 }}", "large powers"),
        ("{{ 'a' | center(1000000000) }}", "No filter"),
        ("{{ ().__class__.__base__.__subclasses__() }}", "__class__"),
        ("{{ messages.append(1) }}", "'append'"),
        ("{% if", "unexpected"),
    ],
)  # fmt: skip
def test_templates_that_ask_for_too_much_are_refused(template: str, reason: str) -> None:
    ours = Tokenizer.train(["a"], 257)
    ours.chat_template = template
    with pytest.raises(ModelFileError, match=reason):
        ours.apply_chat_template(MESSAGES)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "refuses the messages: roles must alternate"),
        ("{{ messages[0].content.name.first }}", "fails on these messages"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_templates_that_fail_say_why(template: str, reason: str) -> None:
    ours = Tokenizer.train(["a"], 257)
    ours.chat_template = template
    with pytest.raises(ValueError, match=reason):
        ours.apply_chat_template(MESSAGES)


# -- what is refused -----------------------------------------------------------------------------------------


def test_wrong_arguments_are_named(tmp_path: Path, byte_pairs: Tokenizer) -> None:
    with pytest.raises(ValueError, match="kind"):
        Tokenizer.train(["a"], 300, "words")
    with pytest.raises(ValueError, match="vocabulary_size"):
        Tokenizer.train(["a"], 100)
    with pytest.raises(ValueError, match="these are empty"):
        Tokenizer.train([], 100, "characters")
    with pytest.raises(ValueError, match="padding"):
        byte_pairs.encode_batch(["a"], padding="both")
    with pytest.raises(ValueError, match=r"lacks \[CLS\], \[SEP\]"):
        Tokenizer.from_wordpiece({"[UNK]": 0})
    with pytest.raises(ValueError, match="the eos_token '<end>' is not in the vocabulary of 2,000"):
        Tokenizer(byte_pairs.backend, {"eos_token": "<end>"})
    with pytest.raises(ValueError, match="does not fit"):
        Tokenizer.from_merges({"a": 0}, [("a", "b")])
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer\.json, vocab\.json or vocab\.txt"):
        Tokenizer.from_file(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Tokenizer.from_file(tmp_path / "tokenizer.json")


def test_a_file_beyond_the_budget_is_not_read(byte_pairs: Tokenizer, tmp_path: Path) -> None:
    byte_pairs.save(tmp_path)
    with saving.budget(text=1000), pytest.raises(ModelFileError, match="more than 8,000 bytes"):
        Tokenizer.from_file(tmp_path)


def test_without_the_library_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match="needs tokenizers: pip install"):
        Tokenizer.train(["a"], 300)
    with pytest.raises(ImportError, match="needs tokenizers: pip install"):
        Tokenizer.from_merges({"a": 0}, [])


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    Tokenizer.train(["To be, or not to be"], 262).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = path.read_bytes()
    chance = random.Random(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(changed))
            changed[start : start + chance.randint(0, 30)] = chance.randbytes(chance.randint(0, 3))
        path.write_bytes(changed)
        try:
            Tokenizer.from_file(path).encode("to be")
        except (ModelFileError, ValueError):
            refused += 1
    assert refused > 200


def test_arrays_are_of_the_dtypes_that_models_take(byte_pairs: Tokenizer) -> None:
    batch = byte_pairs.encode_batch(["a"])
    assert (batch.ids.dtype, batch.mask.dtype, batch.offsets.dtype) == (np.int32, np.bool_, np.int32)
