"""Makes one random model per architecture, in sentence-transformers layout: `python tiny_models.py FOLDER`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WORDS = [
    "nurse",
    "doctor",
    "teacher",
    "cook",
    "driver",
    "farm",
    "worker",
    "senior",
    "assistant",
    "engineer",
    "software",
    "welder",
]
WORDS += ["of", "the", "and"]
WIDTH = 32
POSITIONS = 66
TOKEN_LIMIT = 48
COMMON = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.5,  # large, so that different texts get clearly different vectors
}


def bert_tokenizer() -> Any:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(WORDS * 5, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As published models do: padding to a fixed length and truncation are written into tokenizer.json.
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(20)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def unigram_tokenizer() -> Any:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(WORDS * 5, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def save(folder: Path, model: Any, tokenizer: Any, pooling: str, prompts: dict[str, str]) -> None:
    raw = folder / "raw"
    model.save_pretrained(raw)
    tokenizer.save_pretrained(raw)
    modules = [Transformer(str(raw), max_seq_length=TOKEN_LIMIT), Pooling(WIDTH, pooling_mode=pooling), Normalize()]
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(raw)


def main(root: Path) -> None:
    torch.manual_seed(7)
    bert = bert_tokenizer()
    config = transformers.BertConfig(vocab_size=len(bert), **COMMON)
    save(root / "bert", transformers.BertModel(config), bert, "mean", {})
    unigram = unigram_tokenizer()
    ids = {"vocab_size": len(unigram), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    xlmr = transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**ids, **COMMON))
    save(root / "xlm-roberta", xlmr, unigram, "cls", {"query": "query: ", "passage": "passage: "})
    mpnet = transformers.MPNetModel(transformers.MPNetConfig(**ids, **COMMON))
    save(root / "mpnet", mpnet, unigram, "mean", {})
    layers = {"global_attn_every_n_layers": 2, "local_attention": 16, "cls_token_id": 0, "sep_token_id": 2}
    modern = transformers.ModernBertModel(transformers.ModernBertConfig(**ids, **COMMON, **layers))
    save(root / "modernbert", modern, unigram, "mean", {})
    heads = {"num_key_value_heads": 2, "head_dim": 8}
    qwen = transformers.Qwen3Model(transformers.Qwen3Config(**ids, **COMMON, **heads))
    save(root / "qwen3", qwen, unigram, "lasttoken", {"query": "Instruct: find the occupation\nQuery:", "document": ""})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
