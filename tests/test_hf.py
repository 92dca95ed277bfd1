"""Hugging Face models of random weights, built from configurations: nothing is fetched."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bitfront import hf
from bitfront.cli import main
from bitfront.costs.size import size
from bitfront.errors import DataError, ModelError
from bitfront.graph.capture import trace
from bitfront.quality.language import perplexity
from bitfront.runtime.compile import compile_plan
from bitfront.space import Assignment

transformers = pytest.importorskip("transformers")

# huggingface_hub's own, on its way out; nothing of bitfront's.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
TEXT = "".join(
    f"Speaker {i}:\nThe {i * i % 97} words of line {i} are said, and so is the end.\n\n" for i in range(60)
)

WORDS = "text,label\na,good\nb,bad\nc,good\n"
PARTS = {
    "llama": ("causal_lm", "text", "perplexity"),
    "bert": ("sequence_classifier", "labelled_text", "accuracy"),
}
KINDS = ("AutoConfig", "AutoModelForCausalLM")

RECIPE = """\
[model]
factory = "bitfront.hf:{factory}"
arguments = {{ name = "{model}" }}
[data]
factory = "bitfront.hf:{data}"
arguments = {{ path = "{path}", tokenizer = "bytes", length = 16 }}
batch_size = 8
calibration = 8
search = 24
test = 24
[[space]]
match = "type:linear"
weight = ["int8c", "int4c", "int3c"]
input = ["int8", "int6"]
[metrics]
{metric} = {{}}
size = {{ goal = "min" }}
[search]
strategy = "random"
trials = 20
"""


def _model(kind):
    torch.manual_seed(0)
    if kind == "llama":
        config = transformers.LlamaConfig(
            vocab_size=256, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=True, **SMALL
        )
        return transformers.LlamaForCausalLM(config)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=256, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
        )
        return transformers.GPT2LMHeadModel(config)
    if kind == "opt":
        config = transformers.OPTConfig(vocab_size=256, ffn_dim=48, word_embed_proj_dim=32, **SMALL)
        return transformers.OPTForCausalLM(config)
    config = transformers.BertConfig(vocab_size=256, intermediate_size=48, num_labels=3, **SMALL)
    return transformers.BertForSequenceClassification(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each kind of model, as save_pretrained writes it."""
    root = tmp_path_factory.mktemp("models")
    transformers.logging.disable_progress_bar()
    for kind in ("llama", "gpt2", "opt", "bert"):
        _model(kind).eval().save_pretrained(root / kind)
    return root


@pytest.fixture
def bitfront(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bitfront", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def _batch(positions=16):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(256, (5, positions), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 9:], mask[3, 4:] = 0, 0
    return ids, mask


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_language_models_give_the_librarys_own_logits(folders, kind):
    ids, _ = _batch()
    with torch.no_grad():
        wanted = _model(kind).eval()(input_ids=ids).logits
        model = hf.causal_lm(str(folders / kind))
        assert not model.training
        plan = compile_plan(trace(model, ids))
        torch.testing.assert_close(plan.run((ids,), {}, {}), wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(plan.run((ids[:3],), {}, {}), wanted[:3], atol=1e-4, rtol=0)


def test_classifiers_give_the_librarys_own_logits_under_a_mask(folders):
    ids, mask = _batch()
    with torch.no_grad():
        wanted = _model("bert").eval()(input_ids=ids, attention_mask=mask).logits
        plan = compile_plan(trace(hf.sequence_classifier(str(folders / "bert")), (ids, mask)))
        torch.testing.assert_close(plan.run((ids, mask), {}, {}), wanted, atol=1e-4, rtol=0)
        unmasked = plan.run((ids, torch.ones_like(mask)), {}, {})
        moved = (unmasked - wanted).abs().amax(dim=1)
        assert float(moved[[1, 3]].min()) > 100 * float(moved[[0, 2, 4]].max())  # the others have no padding


def test_perplexity_is_the_librarys_own_loss(folders):
    ids, _ = _batch()
    with torch.no_grad():
        found = _model("llama").eval()(input_ids=ids, labels=ids)
    quality = perplexity()
    value = quality.value(quality.statistics(found.logits, ids, torch.empty(0)))
    assert value == pytest.approx(math.exp(found.loss), rel=1e-5)


def test_layers_have_the_librarys_names_and_tied_embeddings_are_one_tensor(folders):
    ids, _ = _batch()
    graph = trace(hf.causal_lm(str(folders / "llama")), ids).graph
    names = {operation.name for operation in graph.operations}
    assert {"model.embed_tokens", "model.layers.1.self_attn.q_proj", "lm_head"} <= names
    assert sum(p.shape == (256, 32) for p in graph.parameters) == 1
    stored = sum(p.elements for p in graph.parameters if p.trained)
    assert stored == sum(p.numel() for p in _model("llama").parameters())
    buffers = sum(p.elements for p in graph.parameters if not p.trained)
    assert size()(graph, Assignment.of({})) == 4 * (stored + buffers)


@pytest.fixture
def recipe(tmp_path, folders):
    """A recipe for one of the two classes of models, and its data."""

    def write(kind):
        path = tmp_path / ("text.txt" if kind == "llama" else "texts.jsonl")
        if kind == "llama":
            path.write_text(TEXT)
        else:
            lines = [{"text": line, "label": len(line) % 3} for line in TEXT.splitlines() if line]
            path.write_text("\n".join(map(json.dumps, lines)))
        factory, data, metric = PARTS[kind]
        text = RECIPE.format(factory=factory, model=folders / kind, data=data, path=path, metric=metric)
        (tmp_path / "recipe.toml").write_text(text)
        return tmp_path / "recipe.toml"

    return write


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_inspect_and_search(recipe, bitfront, kind, monkeypatch):
    path = recipe(kind)
    monkeypatch.chdir(path.parent)
    status, out, err = bitfront("inspect", path, "--json")
    assert status == 0, err
    assert json.loads(out)["space"]["sites"] > 10
    status, out, err = bitfront("search", path, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert found["trials"] >= 20
    assert found["failed"] == 0
    metric = "perplexity" if kind == "llama" else "accuracy"
    assert set(found["baseline"]) >= {metric, "size"}
    assert found["front"]
    assert metric in found["front"][0]["test"]


def test_perplexity_of_a_real_text(recipe, bitfront, shared_data, monkeypatch):
    path = recipe("llama")
    monkeypatch.chdir(path.parent)
    text = shared_data / "text" / "tinyshakespeare.txt"
    written = path.read_text().replace(str(path.parent / "text.txt"), str(text))
    path.write_text(written.replace("trials = 20", "trials = 2"))
    status, out, err = bitfront("search", path, "--json")
    assert status == 0, err
    value = json.loads(out)["baseline"]["perplexity"]
    assert 100 < value < 1000  # random weights know nothing of 256 bytes


def test_metrics_without_a_shift_are_refused(recipe, bitfront):
    path = recipe("llama")
    path.write_text(path.read_text().replace("perplexity = {}", "accuracy = {}"))
    status, _, err = bitfront("search", path)
    assert status == 2
    assert "next_token_accuracy" in err


def test_ids_beyond_the_vocabulary(recipe, bitfront, tmp_path, folders):
    config = transformers.LlamaConfig(vocab_size=64, intermediate_size=48, num_key_value_heads=2, **SMALL)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "small")
    path = recipe("llama")
    path.write_text(path.read_text().replace(str(folders / "llama"), str(tmp_path / "small")))
    status, _, err = bitfront("search", path)
    assert status == 2, err
    assert "token id beyond the table" in " ".join(err.split())


def test_sequences_longer_than_the_model(recipe, bitfront):
    path = recipe("llama")
    written = path.read_text().replace("length = 16", "length = 65")
    path.write_text(written.replace("search = 24\ntest = 24\n", ""))
    status, _, err = bitfront("inspect", path)
    assert status == 2
    assert "64 positions" in " ".join(err.split())


# What is refused


def test_a_head_that_is_not_trained(folders):
    with pytest.raises(ModelError, match=r"no trained classifier of texts: its weights lack score\.weight"):
        hf.sequence_classifier(str(folders / "llama"))


def test_weights_that_would_be_unpickled(folders, tmp_path):
    (tmp_path / "config.json").write_bytes((folders / "llama" / "config.json").read_bytes())
    torch.save(_model("llama").state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        hf.causal_lm(str(tmp_path))


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    config = {"model_type": "strange", "auto_map": dict.fromkeys(KINDS, "code.Model")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(ModelError) as refused:
        hf.causal_lm(str(tmp_path))
    assert "it was run" not in str(refused.value)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ModelError, match="gives no language model"):
        hf.causal_lm(str(tmp_path))
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(DataError, match="gives no tokenizer"):
        hf.text(str(tmp_path / "text.txt"), str(tmp_path))


def test_a_hub_id_without_a_network_is_one_sentence():
    code = "from bitfront import hf; hf.causal_lm('bitfront/there-is-no-such-model')"
    # Without a way to the hub: its offline switch is read when the library is imported.
    environment = {"HF_HUB_OFFLINE": "1", "PATH": "", "HOME": "/nonexistent"}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    (said,) = [line for line in ended.stderr.splitlines() if line.startswith("bitfront.errors.ModelError")]
    assert "'bitfront/there-is-no-such-model' is no folder here, and the Hugging Face hub gives no" in said


def test_without_the_library(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"pip install 'bitfront\[hf\]'"):
        hf.causal_lm("anything")
    (tmp_path / "text.txt").write_text(TEXT)
    with pytest.raises(DataError, match=r"pip install 'bitfront\[hf\]'"):
        hf.text(str(tmp_path / "text.txt"), "anything")
    assert hf.text(str(tmp_path / "text.txt"), "bytes")  # needs nothing


# Data


def test_a_text_is_cut_without_overlap_and_nothing_is_lost(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT + "ä€😀")
    splits = hf.text(str(tmp_path / "text.txt"), "bytes", length=32)
    assert list(splits) == ["calibration", "search", "test"]
    targets = torch.cat([targets for _, targets in splits.values()]).flatten()
    assert bytes(targets[targets != -100].tolist()).decode() == TEXT + "ä€😀"
    for inputs, targets in splits.values():
        assert inputs.shape == targets.shape
        assert inputs.shape[1] == 32
        assert torch.equal(inputs[targets != -100], targets[targets != -100])
    assert int(inputs.min()) >= 0
    sizes = [len(inputs) for inputs, _ in splits.values()]
    assert sizes[1:] == pytest.approx([2 * sizes[0]] * 2, abs=2)


def _tokenizer(folder: Path, padding: str | None = "[PAD]"):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    own = Tokenizer(models.BPE(unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = ["[PAD]", "[UNK]"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=marks, show_progress=False)
    own.train_from_iterator([TEXT], trainer)
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=own, unk_token="[UNK]", pad_token=padding)
    made.save_pretrained(folder)
    return made


def test_the_models_own_tokenizer(tmp_path):
    made = _tokenizer(tmp_path / "tokenizer")
    (tmp_path / "text.txt").write_text(TEXT)
    splits = hf.text(str(tmp_path / "text.txt"), str(tmp_path / "tokenizer"), length=16)
    targets = torch.cat([targets for _, targets in splits.values()]).flatten()
    assert targets[targets != -100].tolist() == made(TEXT, add_special_tokens=False)["input_ids"]
    rows = '"one, two",good\n"three\nfour",bad\nfive,good\nsix,bad\n'
    (tmp_path / "texts.csv").write_text("text,label\n" + rows)
    splits = hf.labelled_text(
        str(tmp_path / "texts.csv"), str(tmp_path / "tokenizer"), length=6, labels=["bad", "good"]
    )
    assert sorted(torch.cat([classes for _, classes in splits.values()]).tolist()) == [0, 0, 1, 1]
    for (ids, mask), _ in splits.values():
        assert torch.equal(ids == made.pad_token_id, mask == 0)


def test_a_tokenizer_without_padding(tmp_path):
    _tokenizer(tmp_path / "tokenizer", padding=None)
    (tmp_path / "texts.csv").write_text("text,label\na,0\nb,1\nc,0\n")
    with pytest.raises(DataError, match="has no padding token"):
        hf.labelled_text(str(tmp_path / "texts.csv"), str(tmp_path / "tokenizer"))


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("a.csv", "text,lable\na,0\n", {}, r"Line 2 .* has no 'label' \(did you mean 'lable'"),
        ("a.csv", WORDS, {}, r"not a class number.*labels = \["),
        ("a.csv", WORDS, {"labels": ["goood", "bad"]}, r"'good' is no label.*'goood'"),
        ("a.csv", "text,label\na,0\n", {}, "holds 1 examples"),
        ("a.csv", "text,label\na\n", {}, "has no 'label'"),
        ("a.jsonl", '{"text": "a"\n', {}, "Line 1 .* is not JSON"),
        ("a.jsonl", "[1]\n", {}, "must be an object"),
        ("a.tsv", "", {}, "neither a .csv nor a .jsonl"),
        ("a.csv", "text,label\na,0\nb,1\nc,0\n", {"length": 0}, "length >= 1"),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, content, arguments, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        hf.labelled_text(str(tmp_path / name), "bytes", **arguments)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"", {}, "gives 0 tokens"),
        (b"short", {}, "at least 3 are needed"),
        (b"\xff\xfe\x00", {}, "not UTF-8"),
        (TEXT.encode(), {"length": 1}, "length >= 2"),
    ],
)
def test_texts_that_do_not_fit(tmp_path, content, arguments, message):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        hf.text(str(tmp_path / "text.txt"), "bytes", **arguments)
    with pytest.raises(DataError, match="can't be read"):
        hf.text(str(tmp_path / "nothing.txt"), "bytes")
