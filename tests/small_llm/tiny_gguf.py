"""A Llama of a few numbers with a byte-level tokenizer, written as llama.cpp's converter writes one."""

import numpy as np
import torch

HEADS, SIZE, LAYERS, INNER = 2, 16, 2, 24
TOKENS = ["<end>", "<pad>", "a", "b", "c", "ab"]
CHAT = "{% for m in messages %}b{{ m.content }}{% endfor %}{% if add_generation_prompt %}c{% endif %}"


def write(path, seed=0, chat=None):
    """Write the file; returns the transformers model that has the same weights."""
    import gguf
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(TOKENS), hidden_size=SIZE, intermediate_size=INNER, num_hidden_layers=LAYERS,
                num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=64,
                rms_norm_eps=1e-5, tie_word_embeddings=True, eos_token_id=0, pad_token_id=1, bos_token_id=None,
            )
        ).eval()  # fmt: skip
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(5).add_(0.1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 1, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(1)
    if chat is not None:
        writer.add_chat_template(chat)
    for name, values in _tensors(model.state_dict()):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _tensors(state):
    yield "token_embd.weight", state["model.embed_tokens.weight"].numpy()
    yield "output_norm.weight", state["model.norm.weight"].numpy()
    names = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    }  # fmt: skip
    for i in range(LAYERS):
        for short, long in names.items():
            values = state[f"model.layers.{i}.{long}.weight"].numpy()
            if short in (
                "attn_q",
                "attn_k",
            ):  # llama.cpp keeps the two halves that rotate together side by side
                values = values.reshape(HEADS, 2, SIZE // HEADS // 2, SIZE).swapaxes(1, 2).reshape(SIZE, SIZE)
            yield f"blk.{i}.{short}.weight", np.ascontiguousarray(values)
