#!/usr/bin/env python3
"""Make tiny random-weight models of architectures without a shared fixture, and reference logits for them.

usage: make_arch.py OUT_DIR [NAME ...]        Needs: pip install gguf numpy llama-cpp-python

Writes NAME.gguf (matrices in F16), NAME.json and NAME.f32 in the format of the shared fixtures. The reference is computed by
llama.cpp in float32, with an f32 cache, on a copy of the file whose matrices are F32 with the same values: so an engine that
computes F16 weights in float32 agrees but for the order of its sums. Where llama.cpp computes otherwise than the authors, the
reference comes from exact.py. The files have no vocabulary.
"""
import ctypes, json, math, pathlib, sys, tempfile
import numpy as np
import gguf
import llama_cpp as L
import exact

VOCAB, TOKENS = 96, 80

# What a spec may say, with the sizes that most have.
BASE = dict(dim=32, layers=2, heads=4, kv=2, hd=8, ff=48, ctx=256, eps=1e-5, theta=10000.0, keys={}, rope=None,
            before='attn_norm', after=None, ff_before='ffn_norm', ff_after=None, layer_norm=False, norm_bias=False,
            second=None, gated=True, fused_gate=False, fused_qkv=False, qkv_bias=False, o_bias=False, ff_bias=False, tied=False,
            qk_norm=None, qk=1.0, back=1.0, experts=None, sinks=False, longrope=None, nextn=0, delta=None, windows=None,
            hd_w=None, shared=0, spare=False, turned=None, inputs=0, factor=False, v_is_k=False, ssm=None,
            out_norm='output_norm', short_conv=None, taps=3, rank=0, xielu=False, gate=False, out_bias=False,
            exact=None, start=0, inner=False, latent=None)

AROUND = dict(after='post_attention_norm', ff_after='post_ffw_norm')
YARN = {'rope.scaling.type': 'yarn', 'rope.scaling.factor': 4.0, 'rope.scaling.original_context_length': 64}
NEOX = dict(layer_norm=True, norm_bias=True, kv=4, gated=False, fused_qkv=True, qkv_bias=True, o_bias=True, ff_bias=True,
            rope=4, exact=exact.neox)
SPECS = {
    'gemma': dict(arch='gemma', tied=True, hd=16),
    'granite': dict(arch='granite', keys={'embedding_scale': 12.0, 'residual_scale': 0.22, 'attention.scale': 0.1,
                                          'logit_scale': 8.0}),
    'olmo2': dict(arch='olmo2', before=None, ff_before=None, qk_norm='whole', **AROUND),
    'smollm3': dict(arch='smollm3', layers=4, tied=True),
    'falcon': dict(arch='falcon', layer_norm=True, norm_bias=True, gated=False, fused_qkv=True, ff_before=None, kv=1),
    'starcoder2': dict(arch='starcoder2', layer_norm=True, norm_bias=True, gated=False, qkv_bias=True, o_bias=True,
                       ff_bias=True),
    'glm4': dict(arch='glm4', fused_gate=True, rope=4, qkv_bias=True, **AROUND),
    'command-r': dict(arch='command-r', layer_norm=True, ff_before=None, tied=True, keys={'logit_scale': 0.0625}),
    'gpt-oss': dict(arch='gpt-oss', qkv_bias=True, o_bias=True, sinks=True, ff_before='post_attention_norm',
                    experts=dict(n=6, used=2, ff=40, bias=True),
                    keys={'attention.sliding_window': 20, **YARN}),
    'granitemoe': dict(arch='granitemoe', experts=dict(n=6, used=2, ff=48),
                       keys={'embedding_scale': 12.0, 'residual_scale': 0.22, 'attention.scale': 0.1,
                             'logit_scale': 8.0}),
    # Ways to stretch a context.
    'llama-yarn': dict(arch='llama', keys=YARN),
    'llama-linear': dict(arch='llama', keys={'rope.scaling.type': 'linear', 'rope.scaling.factor': 4.0}),
    'phi3-long': dict(arch='phi3', fused_qkv=True, fused_gate=True, longrope=True,
                      keys={'rope.scaling.original_context_length': 64, 'rope.scaling.attn_factor': 1.19}),
    'gemma3-linear': dict(arch='gemma3', layers=7, tied=True, qk_norm='head', theta=1e6, **AROUND,
                          keys={'attention.sliding_window': 20, 'rope.scaling.type': 'linear',
                                'rope.scaling.factor': 8.0}),
    # Later ones, so that the others keep their seeds.
    'falcon-40b': dict(arch='falcon', layer_norm=True, norm_bias=True, gated=False, fused_qkv=True, ff_before=None,
                       second='attn_norm_2'),
    # The reference looks for the norms of queries and keys from 64 layers on.
    'command-r-plus': dict(arch='command-r', layer_norm=True, ff_before=None, tied=True, qk_norm='own', layers=64, dim=16,
                           heads=2, kv=1, ff=16, keys={'logit_scale': 0.0625}),
    'chatglm': dict(arch='chatglm', fused_qkv=True, fused_gate=True, qkv_bias=True, rope=4),
    # As the published files are: without biases.
    'glm4-0414': dict(arch='glm4', fused_gate=True, rope=4, **AROUND),
    'olmo3': dict(arch='olmo2', layers=5, before=None, ff_before=None, qk_norm='whole', **AROUND,
                  keys={'attention.sliding_window': 20, **YARN}),
    'cohere2': dict(arch='cohere2', layers=5, layer_norm=True, ff_before=None, tied=True,
                    keys={'logit_scale': 0.25, 'attention.sliding_window': 20}),
    'ernie4_5': dict(arch='ernie4_5', tied=True),
    'exaone': dict(arch='exaone'),
    'exaone4': dict(arch='exaone4', before=None, ff_before=None, qk_norm='head', **AROUND),
    # The reference knows of windows with so many layers only.
    'exaone4-windows': dict(arch='exaone4', before=None, ff_before=None, qk_norm='head', layers=64, dim=16, heads=2, kv=1,
                            ff=16, keys={'attention.sliding_window': 20}, **AROUND),
    'hunyuan-dense': dict(arch='hunyuan-dense', tied=True, qk_norm='head'),
    'internlm2': dict(arch='internlm2'),
    'mistral3': dict(arch='mistral3', keys={'attention.temperature_scale': 0.1, 'rope.scaling.yarn_log_multiplier': 0.5,
                                            **YARN, 'rope.scaling.original_context_length': 32}),
    'olmoe': dict(arch='olmoe', kv=4, qk_norm='whole', experts=dict(n=6, used=2, ff=48)),
    'qwen2vl': dict(arch='qwen2vl', qkv_bias=True, keys={'rope.dimension_sections': [1, 1, 2, 0]}),
    'qwen3vl': dict(arch='qwen3vl', qk_norm='head', keys={'rope.dimension_sections': [2, 1, 1, 0]}),
    'qwen3vlmoe': dict(arch='qwen3vlmoe', qk_norm='head', experts=dict(n=6, used=2, ff=24),
                       keys={'rope.dimension_sections': [2, 1, 1, 0]}),
    'seed_oss': dict(arch='seed_oss', qkv_bias=True, ff_before='post_attention_norm'),
    'bailingmoe': dict(arch='bailingmoe', layers=3, experts=dict(n=6, used=2, ff=24, shared=48),
                       keys={'expert_shared_count': 2, 'expert_weights_scale': 1.0, 'expert_weights_norm': True,
                             'leading_dense_block_count': 0}),
    'bailingmoe2': dict(arch='bailingmoe2', layers=3, rope=4, qk_norm='head', fused_qkv=True, nextn=1,
                        experts=dict(n=8, used=2, ff=24, shared=24, choice=True, first=1),
                        keys={'expert_shared_count': 1, 'expert_weights_scale': 2.5, 'expert_weights_norm': True,
                              'expert_gating_func': 2, 'expert_group_count': 4, 'expert_group_used_count': 2}),
    'deepseek': dict(arch='deepseek', layers=3, kv=4, experts=dict(n=6, used=2, ff=24, shared=48, first=1),
                     keys={'expert_shared_count': 2, 'expert_weights_scale': 1.0}),
    'dots1': dict(arch='dots1', layers=3, kv=4, qk_norm='head',
                  experts=dict(n=6, used=2, ff=24, shared=48, choice=True, first=1),
                  keys={'expert_shared_count': 2, 'expert_weights_scale': 2.5, 'expert_weights_norm': True,
                        'expert_gating_func': 2}),
    'ernie4_5-moe': dict(arch='ernie4_5-moe', layers=3, tied=True,
                         experts=dict(n=6, used=2, ff=24, shared=48, choice=True, first=1),
                         keys={'expert_shared_count': 2, 'expert_shared_feed_forward_length': 48,
                               'interleave_moe_layer_step': 1}),
    'glm4moe': dict(arch='glm4moe', layers=3, rope=4, qkv_bias=True, ff_before='post_attention_norm', nextn=1,
                    experts=dict(n=6, used=2, ff=24, shared=24, choice=True, first=1),
                    keys={'expert_shared_count': 1, 'expert_weights_scale': 1.5, 'expert_weights_norm': True,
                          'expert_gating_func': 2}),
    'glm4moe-normed': dict(arch='glm4moe', layers=3, rope=4, qkv_bias=True, qk_norm='head',
                           ff_before='post_attention_norm',
                           experts=dict(n=6, used=2, ff=24, shared=24, choice=True, first=1),
                           keys={'expert_shared_count': 1, 'expert_weights_norm': True}),
    'hunyuan-moe': dict(arch='hunyuan-moe', qk_norm='head', experts=dict(n=6, used=2, ff=48, shared=48),
                        keys={'expert_shared_feed_forward_length': 48, 'expert_shared_count': 1}),
    'minimax-m2': dict(arch='minimax-m2', rope=4, qk_norm='whole', experts=dict(n=6, used=2, ff=48, choice=True),
                       keys={'expert_gating_func': 2}),
    'minicpm': dict(arch='minicpm', tied=True, longrope=True,
                    keys={'embedding_scale': 12.0, 'residual_scale': 0.25, 'logit_scale': 4.0,
                          'rope.scaling.type': 'longrope', 'rope.scaling.original_context_length': 64}),
    'granite-unturned': dict(arch='granite', keys={'embedding_scale': 12.0, 'residual_scale': 0.22,
                                                   'attention.scale': 0.1, 'logit_scale': 8.0,
                                                   'rope.scaling.finetuned': False}),
    'qwen35': dict(arch='qwen35', layers=8, qk_norm='head', ff_before='post_attention_norm', rope=4, tied=True,
                   delta=dict(k=2, v=4, dim=16), keys={'rope.dimension_sections': [1, 1, 0, 0]}),
    # Another order of layers, heads that are no whole registers, as many keys as values.
    'qwen35-listed': dict(arch='qwen35', layers=5, qk_norm='head', ff_before='post_attention_norm', rope=4,
                          delta=dict(k=3, v=3, dim=24, every=None),
                          keys={'rope.dimension_sections': [1, 1, 0, 0],
                                'attention.recurrent_layers': [False, True, True, False, True]}),
    'qwen35moe': dict(arch='qwen35moe', layers=4, qk_norm='head', ff_before='post_attention_norm', rope=4,
                      delta=dict(k=2, v=6, dim=16), experts=dict(n=6, used=2, ff=24, shared=24, shared_gate=True),
                      keys={'rope.dimension_sections': [1, 1, 0, 0], 'expert_shared_feed_forward_length': 24}),
    'qwen3next': dict(arch='qwen3next', layers=4, qk_norm='head', ff_before='post_attention_norm', rope=4,
                      delta=dict(k=2, v=6, dim=16, fused=True),
                      experts=dict(n=6, used=2, ff=24, shared=24, shared_gate=True, fused=True),
                      keys={'expert_shared_feed_forward_length': 24}),
    # As E2B and E4B: the last three layers read the caches of layers 2 and 3 and are twice as wide; a quarter of a full
    # layer's channels is turned. The files have keys and values of the last layers, which nobody reads.
    'gemma4': dict(arch='gemma4', layers=7, tied=True, qk_norm='head', qk=0.5, back=0.5, hd=16, hd_w=8, theta=1e6,
                   windows=[True, True, True, False, True, False, True], shared=3, spare=True, turned=2, inputs=32,
                   ff=[32, 32, 32, 32, 64, 64, 64], factor=True, **AROUND,
                   keys={'attention.sliding_window': 20, 'rope.freq_base_swa': 1e4, 'final_logit_softcapping': 30.0}),
    # As 31B: full layers have fewer heads of keys, which are their values too.
    'gemma4-dense': dict(arch='gemma4', layers=4, tied=True, qk_norm='head', qk=0.5, back=0.5, hd=16, hd_w=8, theta=1e6,
                         windows=[True, True, False, True], kv=[2, 2, 1, 2], turned=2, v_is_k=True, factor=True, **AROUND,
                         keys={'attention.sliding_window': 20, 'rope.freq_base_swa': 1e4,
                               'final_logit_softcapping': 30.0}),
    # As 26B-A4B: a mixture of experts beside the dense part.
    'gemma4-moe': dict(arch='gemma4', layers=3, tied=True, qk_norm='head', qk=0.5, back=0.5, hd=16, hd_w=8, theta=1e6,
                       windows=[True, True, False], kv=[2, 2, 1], turned=2, v_is_k=True, factor=True, **AROUND,
                       experts=dict(n=6, used=2, ff=32, beside=True),
                       keys={'attention.sliding_window': 20, 'rope.freq_base_swa': 1e4,
                             'final_logit_softcapping': 30.0}),
    # State spaces. Dense hybrids' files speak of experts all the same; only the layers with key/value heads attend.
    'granitehybrid': dict(arch='granitehybrid', layers=5, tied=True, kv=[0, 2, 0, 0, 2],
                          ssm=dict(heads=4, dim=16, groups=1, state=24),
                          keys={'embedding_scale': 12.0, 'residual_scale': 0.22, 'attention.scale': 0.1,
                                'logit_scale': 8.0, 'rope.scaling.finetuned': False, 'expert_count': 0,
                                'expert_used_count': 0, 'expert_shared_feed_forward_length': 48}),
    'granitehybrid-moe': dict(arch='granitehybrid', layers=4, kv=[0, 0, 1, 0],
                              ssm=dict(heads=2, dim=32, groups=2, state=16),
                              experts=dict(n=6, used=2, ff=48, shared=24),
                              keys={'embedding_scale': 12.0, 'residual_scale': 0.22, 'attention.scale': 0.1,
                                    'logit_scale': 8.0, 'expert_shared_feed_forward_length': 24}),
    # Side by side with attention, without a norm of its own, and heads that are no whole registers.
    'falcon-h1': dict(arch='falcon-h1', layers=3, ssm=dict(heads=3, dim=20, groups=1, state=16, normed=False, bare=True)),
    'falcon-h1-normed': dict(arch='falcon-h1', tied=True, ssm=dict(heads=4, dim=16, groups=2, state=32, bare=True)),
    # Each layer is one part.
    'nemotron_h': dict(arch='nemotron_h', layers=7, layer_norm=True, gated=False, ff_before=None,
                       kv=[0, 0, 0, 2, 0, 0, 0], ff=[0, 48, 0, 0, 48, 0, 48],
                       ssm=dict(heads=4, dim=24, groups=2, state=16), keys={'rope.scaling.finetuned': False}),
    'nemotron_h_moe': dict(arch='nemotron_h_moe', layers=4, layer_norm=True, gated=False, ff_before=None, hd=16,
                           kv=[0, 0, 2, 0], ff=[0, 24, 0, 24], ssm=dict(heads=2, dim=32, groups=1, state=16),
                           experts=dict(n=6, used=2, ff=24, shared=40, choice=True),
                           keys={'rope.scaling.finetuned': False, 'expert_shared_feed_forward_length': 40,
                                 'expert_shared_count': 1, 'expert_weights_norm': True, 'expert_weights_scale': 2.5,
                                 'expert_group_count': 1}),
    'mamba2': dict(arch='mamba2', layers=3, ff_before=None, heads=0, kv=0, hd=0, ff=0,
                   ssm=dict(heads=4, dim=16, groups=2, state=24)),
    'lfm2': dict(arch='lfm2', layers=6, tied=True, qk_norm='head', out_norm='token_embd_norm',
                 short_conv=[True, True, False, True, False, True]),
    # Sums over two positions, windows, an output projection.
    'lfm2-windows': dict(arch='lfm2', layers=3, qk_norm='head', out_norm='token_embd_norm', taps=2, theta=1e6,
                         short_conv=[False, True, False], keys={'attention.sliding_window': 20}),
    'lfm2moe': dict(arch='lfm2moe', layers=4, tied=True, qk_norm='head', out_norm='token_embd_norm',
                    short_conv=[True, True, False, True], experts=dict(n=8, used=2, ff=24, first=1, choice=True),
                    keys={'expert_gating_func': 2}),
    # As E2B and E4B: the first ten layers cut their gates off, the last two read the caches of layers 18 and 19. The
    # reference takes these numbers, 256 inputs a layer and a rank of 64 for granted; see `as_reference`.
    'gemma3n': dict(arch='gemma3n', seed=53, layers=22, tied=True, qk_norm='head', qk=0.5, back=0.1, heads=2, kv=1, hd=16,
                    ff=32, theta=1e6, windows=[i % 5 != 4 and i != 21 for i in range(22)], shared=2, spare=True, inputs=16,
                    rank=16, **AROUND,
                    keys={'attention.sliding_window': 20, 'rope.freq_base_swa': 1e4, 'final_logit_softcapping': 30.0,
                          'altup.num_inputs': 4, 'altup.active_idx': 0,
                          'activation_sparsity_scale': [1.6448533535003662] * 10 + [-math.inf] * 12}),
    'arcee': dict(arch='arcee', seed=54, gated=False, keys=YARN),
    'nemotron': dict(arch='nemotron', seed=55, layer_norm=True, norm_bias=True, gated=False, rope=4, kv=1,
                     keys={'rope.scaling.type': 'linear', 'rope.scaling.factor': 2.0}),
    'apertus': dict(arch='apertus', seed=56, qk_norm='head', gated=False, xielu=True),
    'phimoe': dict(arch='phimoe', seed=57, norm_bias=True, qkv_bias=True, o_bias=True, out_bias=True, longrope=True,
                   experts=dict(n=6, used=2, ff=48), exact=exact.phimoe,
                   keys={'rope.scaling.original_context_length': 64, 'rope.scaling.attn_factor': 1.19}),
    'afmoe': dict(arch='afmoe', seed=58, layers=5, qk_norm='head', gate=True, **AROUND,
                  experts=dict(n=8, used=3, ff=24, shared=48, choice=True, first=2),
                  keys={'attention.sliding_window': 20, 'expert_shared_count': 2, 'expert_gating_func': 2,
                        'expert_weights_norm': True, 'expert_weights_scale': 2.826}),
    'smallthinker': dict(arch='smallthinker', seed=59, experts=dict(n=8, used=3, ff=48),
                         keys={'expert_gating_func': 2}),
    # The reference has windows of 4096 positions in any case: what is outside of this one is not in the text.
    'smallthinker-windows': dict(arch='smallthinker', seed=60, layers=6, tied=True, experts=dict(n=6, used=2, ff=16),
                                 keys={'attention.sliding_window': 4096, 'expert_gating_func': 1}),
    # Chunks are of 8192 positions in the reference, and queries grow with as many: there the text begins 41 before. Layers 1
    # and 3 have experts, layer 3 sees everything.
    'llama4': dict(arch='llama4', seed=61, layers=5, ctx=1000, start=8192 - 41,
                   experts=dict(n=6, used=2, ff=24, shared=24, every=2),
                   keys={'interleave_moe_layer_step': 2, 'attention.sliding_window': 41,
                         'attention.temperature_length': 41}),
    # As Maverick: 128 experts, heads without norms, divisors of frequencies.
    'llama4-128': dict(arch='llama4', seed=62, layers=4, dim=16, heads=2, kv=1, turned=3,
                       experts=dict(n=128, used=1, ff=4, shared=4),
                       start=8192 - 41,
                       keys={'interleave_moe_layer_step': 1, 'attention.sliding_window': 41,
                             'attention.temperature_length': 41}),
    'stablelm': dict(arch='stablelm', seed=63, layer_norm=True, norm_bias=True, qkv_bias=True, rope=4,
                     keys={'use_parallel_residual': True}),
    'stablelm-12b': dict(arch='stablelm', seed=64, layer_norm=True, norm_bias=True, ff_before=None, qk_norm='own', rope=4,
                         keys={'use_parallel_residual': True}),
    'phi2': dict(arch='phi2', seed=65, ff_before=None, out_bias=True, **NEOX),
    'gptneox': dict(arch='gptneox', seed=66, keys={'use_parallel_residual': True}, **NEOX),
    'gptneox-serial': dict(arch='gptneox', seed=67, keys={'use_parallel_residual': False}, **NEOX),
    # Attention and a feed-forward part; the former, a matrix in its place or neither beside the latter; nothing at all.
    'deci': dict(arch='deci', seed=68, layers=7, heads=[4, 4, 0, 4, 0, 4, 4], kv=[2, 1, 0, 0, 0, 4, 2],
                 ff=[48, 32, 48, 64, 0, 32, 48], turned=3),
    'bitnet': dict(arch='bitnet', seed=69, tied=True, inner=True,
                   keys={'rope.scaling.type': 'linear', 'rope.scaling.factor': 1.0}),
    # Two dense layers first: of them, the first sees everything and turns all the same, as layer 4 does not.
    'cohere2moe': dict(arch='cohere2moe', seed=71, layers=6, layer_norm=True, ff_before=None, tied=True,
                       experts=dict(n=6, used=2, ff=32, shared=64, first=2),
                       keys={'logit_scale': 0.25, 'attention.sliding_window': 20, 'expert_shared_count': 2,
                             'expert_shared_feed_forward_length': 64, 'expert_gating_func': 2,
                             'expert_weights_norm': True,
                             'attention.sliding_window_pattern': [False, True, True, True, False, True]}),
    # Without the shared expert, RMS norms, and the customary order of layers.
    'cohere2moe-rms': dict(arch='cohere2moe', seed=72, layers=5, ff_before=None, tied=True,
                           experts=dict(n=6, used=2, ff=32, first=1),
                           keys={'logit_scale': 0.25, 'attention.sliding_window': 20}),
    # Latent attention, with queries that grow with their position; experts' gates and ups in one tensor.
    'mistral4': dict(arch='mistral4', seed=73, layers=3, hd=12, rope=4, latent=dict(q=16, kv=24, v=8),
                     experts=dict(n=6, used=2, ff=32, shared=32, fused=True),
                     keys={'expert_shared_count': 1, 'expert_weights_norm': True, 'expert_weights_scale': 1.5,
                           'attention.temperature_scale': 0.1, 'attention.temperature_length': 24,
                           'rope.scaling.yarn_log_multiplier': 0.1, **YARN}),
    'exaone-moe': dict(arch='exaone-moe', seed=70, layers=5, qk_norm='head', nextn=1, theta=1e6,
                       experts=dict(n=8, used=2, ff=24, shared=24, choice=True, first=1, end=5),
                       keys={'attention.sliding_window': 20, 'expert_shared_count': 1, 'expert_gating_func': 2,
                             'expert_shared_feed_forward_length': 24, 'expert_weights_norm': True,
                             'expert_weights_scale': 2.5, 'rope.scaling.type': 'none'}),
}


def recurrent(s, i):
    """Whether layer `i` is a gated delta net."""
    every = s['delta'].get('every', 4)
    return s['keys']['attention.recurrent_layers'][i] if every is None else i % every != every - 1


def tensors(s, rng):
    """Names and values; matrices rounded to F16."""
    out = []
    D = s['dim']

    def mat(name, *shape, std=0.15):
        out.append((name, (rng.standard_normal(shape) * std).astype(np.float16).astype(np.float32)))

    def vec(name, *shape, base=0.0, std=0.1):
        out.append((name, (base + rng.standard_normal(shape) * std).astype(np.float32)))

    def norm(name, n=D, base=1.0):
        if name:
            vec(name + '.weight', n, base=base)
            if s['norm_bias']:
                vec(name + '.bias', n)

    mat('token_embd.weight', VOCAB, D, std=0.5)
    norm(s['out_norm'])
    if not s['tied']:
        mat('output.weight', VOCAB, D)
    if s['out_bias']:
        vec('output.bias', VOCAB, std=0.3)
    half = (s['rope'] or s['hd']) // 2
    if s['turned']:
        # Proportional positions: what is not turned has frequencies of nearly zero.
        out.append(('rope_freqs.weight', np.array([1.0] * s['turned'] + [1e30] * (half - s['turned']), np.float32)))
    inputs = s['inputs']
    if inputs:
        mat('per_layer_token_embd.weight', VOCAB, s['layers'] * inputs, std=0.5)
        mat('per_layer_model_proj.weight', s['layers'] * inputs, D, std=0.5)
        norm('per_layer_proj_norm', inputs)
    if s['rank']:
        mat('altup_proj.weight', 3, D, D, std=0.2); mat('altup_unembd_proj.weight', 3, D, D, std=0.2)
    if s['longrope']:
        vec('rope_factors_long.weight', half, base=4.0, std=0.5)
        vec('rope_factors_short.weight', half, base=1.0, std=0.05)
    for i in range(s['layers'] + s['nextn']):
        p = f'blk.{i}.'
        of = lambda v: v[i] if isinstance(v, list) else v
        F, H, K, windowed = of(s['ff']), of(s['heads']), of(s['kv']), s['windows'] and s['windows'][i]
        sparse = isinstance(s['heads'], list)
        hd = windowed and s['hd_w'] or s['hd']
        own = s['spare'] or not s['layers'] - s['shared'] <= i < s['layers']
        if i >= s['layers']:
            mat(p + 'nextn.eh_proj.weight', D, 2 * D)
            norm(p + 'nextn.enorm')
            norm(p + 'nextn.hnorm')
            if s['arch'] == 'bailingmoe2':
                norm(p + 'layer_output_norm')
        m = s['ssm']
        for key in ('before', 'second', 'after', 'ff_before', 'ff_after'):
            if sparse and not {'before': H, 'ff_before': F}.get(key):
                continue
            norm(s[key] and p + s[key], base=s['back'] if key == 'ff_after' else 1.0)
            if m and m.get('bare') and key == 'ff_before':
                # Their converter loses the suffix.
                out[-1] = (p + s[key], out[-1][1])
        if m and (m.get('bare') or not K and not (isinstance(s['ff'], list) and F)):
            width, groups = m['heads'] * m['dim'], m['groups']
            channels = width + 2 * groups * m['state']
            mat(p + 'ssm_in.weight', width + channels + m['heads'], D, std=0.3)
            mat(p + 'ssm_conv1d.weight', channels, 4, std=0.5)
            vec(p + 'ssm_conv1d.bias', channels)
            vec(p + 'ssm_dt.bias', m['heads'], std=1.0)
            out.append((p + 'ssm_a', -rng.uniform(0.05, 2.0, (m['heads'], 1)).astype(np.float32)))
            vec(p + 'ssm_d', m['heads'], 1, base=1.0)
            if m.get('normed', True):
                vec(p + 'ssm_norm.weight', groups, width // groups, base=1.0)
            mat(p + 'ssm_out.weight', D, width)
        d = s['delta']
        if d and recurrent(s, i):
            channels, width = (2 * d['k'] + d['v']) * d['dim'], d['v'] * d['dim']
            mat(p + 'attn_qkv.weight', channels, D, std=0.3)
            mat(p + 'attn_gate.weight', width, D)
            mat(p + 'ssm_conv1d.weight', channels, 4, std=0.5)
            vec(p + 'ssm_dt.bias', d['v'], std=1.0)
            # As the published files have them: minus the exponential of a logarithm, from a slow decay to a fast one.
            out.append((p + 'ssm_a', -rng.uniform(0.05, 2.0, d['v']).astype(np.float32)))
            if d.get('fused'):
                mat(p + 'ssm_ba.weight', 2 * d['v'], D, std=0.3)
            else:
                mat(p + 'ssm_beta.weight', d['v'], D, std=0.3)
                mat(p + 'ssm_alpha.weight', d['v'], D, std=0.3)
            vec(p + 'ssm_norm.weight', d['dim'], base=1.0)
            mat(p + 'ssm_out.weight', D, width)
        convolves = s['short_conv'] and s['short_conv'][i]
        if convolves:
            mat(p + 'shortconv.in_proj.weight', 3 * D, D, std=0.3)
            vec(p + 'shortconv.conv.weight', D, s['taps'], std=0.7)
            mat(p + 'shortconv.out_proj.weight', D, D)
        l = s['latent']
        if l:
            mat(p + 'attn_q_a.weight', l['q'], D, std=0.3); norm(p + 'attn_q_a_norm', l['q'])
            mat(p + 'attn_q_b.weight', H * hd, l['q'], std=0.3)
            mat(p + 'attn_kv_a_mqa.weight', l['kv'] + s['rope'], D, std=0.3); norm(p + 'attn_kv_a_norm', l['kv'])
            mat(p + 'attn_k_b.weight', H, l['kv'], hd - s['rope'], std=0.3)
            mat(p + 'attn_v_b.weight', H, l['v'], l['kv'], std=0.3)
            mat(p + 'attn_output.weight', D, H * l['v'])
        parts = [] if l or convolves or d and recurrent(s, i) or not K else \
            [('qkv', (H + 2 * K) * hd)] if s['fused_qkv'] else \
            [('q', H * hd * (2 if d else 1)), ('k', K * hd), ('v', K * hd)]
        if s['v_is_k'] and not windowed:
            parts.pop()
        for name, rows in parts if own else parts[:1]:
            mat(p + f'attn_{name}.weight', rows, D, std=0.3)
            if s['qkv_bias']:
                vec(p + f'attn_{name}.bias', rows)
        if parts or sparse and H:
            mat(p + 'attn_output.weight', D, H * hd)
        if s['inner']:
            norm(p + 'attn_sub_norm', H * hd); norm(p + 'ffn_sub_norm', F)
        if s['gate']:
            mat(p + 'attn_gate.weight', H * hd, D, std=0.3)
        if s['o_bias']:
            vec(p + 'attn_output.bias', D)
        if s['qk_norm'] and parts:
            shape = {'whole': lambda n: (n * hd,), 'head': lambda n: (hd,), 'own': lambda n: (n, hd)}[s['qk_norm']]
            vec(p + 'attn_q_norm.weight', *shape(H), base=s['qk'])
            if own:
                vec(p + 'attn_k_norm.weight', *shape(K), base=s['qk'])
        if s['sinks']:
            vec(p + 'attn_sinks.weight', H, std=1.0)
        e = s['experts']
        if e and e.get('beside'):
            n, M = e['n'], e['ff']
            norm(p + 'pre_ffw_norm_2')
            norm(p + 'post_ffw_norm_1'); norm(p + 'post_ffw_norm_2')
            mat(p + 'ffn_gate_inp.weight', n, D, std=2.0)
            vec(p + 'ffn_gate_inp.scale', D, base=1.0)
            mat(p + 'ffn_gate_up_exps.weight', n, 2 * M, D)
            mat(p + 'ffn_down_exps.weight', n, D, M)
            vec(p + 'ffn_down_exps.scale', n, base=1.0, std=0.3)
        if e and F and not e.get('beside') and i >= e.get('first', 0) and (i + 1) % e.get('every', 1) == 0 \
                and i < e.get('end', 99):
            n, M = e['n'], e['ff']
            if e.get('choice'):
                vec(p + 'exp_probs_b.bias', n)
            if e.get('shared'):
                W = e['shared']
                if s['gated']:
                    mat(p + 'ffn_gate_shexp.weight', W, D)
                mat(p + 'ffn_up_shexp.weight', W, D)
                mat(p + 'ffn_down_shexp.weight', D, W)
                if e.get('shared_gate'):
                    mat(p + 'ffn_gate_inp_shexp.weight', D)
            mat(p + 'ffn_gate_inp.weight', n, D, std=0.5)
            if e.get('fused'):
                mat(p + 'ffn_gate_up_exps.weight', n, 2 * M, D)
            else:
                if s['gated']:
                    mat(p + 'ffn_gate_exps.weight', n, M, D)
                mat(p + 'ffn_up_exps.weight', n, M, D)
            mat(p + 'ffn_down_exps.weight', n, D, M)
            if e.get('bias'):
                vec(p + 'ffn_gate_inp.bias', n); vec(p + 'ffn_gate_exps.bias', n, M); vec(p + 'ffn_up_exps.bias', n, M)
                vec(p + 'ffn_down_exps.bias', n, D)
        elif F:
            if s['gated'] and not s['fused_gate']:
                mat(p + 'ffn_gate.weight', F, D)
            mat(p + 'ffn_up.weight', 2 * F if s['fused_gate'] else F, D)
            mat(p + 'ffn_down.weight', D, F)
            if s['ff_bias']:
                vec(p + 'ffn_up.bias', F); vec(p + 'ffn_down.bias', D)
        if inputs:
            mat(p + 'inp_gate.weight', inputs, D)
            mat(p + 'proj.weight', D, inputs)
            norm(p + 'post_norm', base=s['back'])
        if s['rank']:
            # What the router gives is within -1..1 and spread over it.
            mat(p + 'altup_router.weight', 4, D, std=4.0)
            norm(p + 'altup_router_norm')
            mat(p + 'altup_predict_coef.weight', 16, 4, std=0.05); mat(p + 'altup_correct_coef.weight', 4, 4, std=0.2)
            vec(p + 'altup_correct_scale.weight', D, base=1.0)
            mat(p + 'laurel_l.weight', s['rank'], D); mat(p + 'laurel_r.weight', D, s['rank'])
            norm(p + 'laurel_post_norm', base=0.5)
        if s['factor']:
            vec(p + 'layer_output_scale.weight', 1, base=0.8)
    return out


def write(path, s, values, half):
    w = gguf.GGUFWriter(str(path), s['arch'])
    a = s['arch']
    w.add_name('tiny random weights')
    ints = {'context_length': s['ctx'], 'embedding_length': s['dim'], 'block_count': s['layers'] + s['nextn'],
            'feed_forward_length': s['ff'], 'attention.head_count': s['heads'], 'attention.head_count_kv': s['kv'],
            'vocab_size': VOCAB}
    if s['heads']:
        ints.update({'rope.dimension_count': s['rope'] or s['hd'], 'attention.key_length': s['hd'],
                     'attention.value_length': s['hd']})
    if s['latent']:
        l = s['latent']
        ints.update({'attention.head_count_kv': 1, 'attention.q_lora_rank': l['q'], 'attention.kv_lora_rank': l['kv'],
                     'attention.key_length': l['kv'] + s['rope'], 'attention.value_length': l['kv'],
                     'attention.key_length_mla': s['hd'], 'attention.value_length_mla': l['v']})
    if s['experts']:
        e = s['experts']
        ints.update({'expert_count': e['n'], 'expert_used_count': e['used'], 'expert_feed_forward_length': e['ff']})
        if e.get('first'):
            ints['leading_dense_block_count'] = e['first']
    if s['delta']:
        d = s['delta']
        ints.update({'ssm.conv_kernel': 4, 'ssm.state_size': d['dim'], 'ssm.group_count': d['k'],
                     'ssm.time_step_rank': d['v'], 'ssm.inner_size': d['v'] * d['dim']})
        if d.get('every', 4):
            ints['full_attention_interval'] = 4
    if s['short_conv']:
        ints.update({'shortconv.l_cache': s['taps'],
                     'attention.head_count_kv': [0 if c else s['kv'] for c in s['short_conv']]})
    if s['ssm']:
        m = s['ssm']
        ints.update({'ssm.conv_kernel': 4, 'ssm.state_size': m['state'], 'ssm.group_count': m['groups'],
                     'ssm.time_step_rank': m['heads'], 'ssm.inner_size': m['heads'] * m['dim']})
    if s['nextn']:
        ints['nextn_predict_layers'] = s['nextn']
    if s['windows']:
        if s['hd_w']:
            ints.update({'rope.dimension_count_swa': s['hd_w'], 'attention.key_length_swa': s['hd_w'],
                         'attention.value_length_swa': s['hd_w']})
        ints.update({'attention.shared_kv_layers': s['shared'], 'embedding_length_per_layer_input': s['inputs'], 'attention.sliding_window_pattern': s['windows']})
    for k, v in ints.items():
        (w.add_array if isinstance(v, list) else w.add_uint32)(f'{a}.{k}', v)
    w.add_float32(f'{a}.attention.layer_norm_epsilon' if s['layer_norm'] else f'{a}.attention.layer_norm_rms_epsilon',
                  s['eps'])
    if s['heads']:
        w.add_float32(f'{a}.rope.freq_base', s['theta'])
    if s['xielu']:
        # Those of a model's first layers, for which the reference has no other names.
        for k, v in {'alpha_p': [0.3, -1.2], 'alpha_n': [-0.4, 0.9], 'beta': [0.5, 0.45], 'eps': [-1e-6, -1e-6]}.items():
            w.add_array(f'xielu.{k}', v)
    for k, v in s['keys'].items():
        add = {bool: w.add_bool, int: w.add_uint32, float: w.add_float32, str: w.add_string,
               list: w.add_array}[type(v)]
        add(f'{a}.{k}', v)
    w.add_tokenizer_model('none')
    for name, x in values:
        matrix = x.ndim > 1 and not name.endswith('.bias') and 'ffn_gate_inp' not in name and '_norm' not in name \
            and 'conv1d' not in name and 'conv.conv' not in name and '_coef.' not in name \
            and not name.endswith(('ssm_a', 'ssm_d'))
        w.add_tensor(name, x.astype(np.float16) if half and matrix else x)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()


def as_reference(s, values):
    """The same model in the sizes that the reference takes for granted.

    Inputs of layers are repeated, which changes no mean square; the root of their number, by which the reference multiplies
    a token's row, is taken out again, exactly. The inside of the low-rank part is filled up with zeros.
    """
    if not s['rank']:
        return s, values
    inputs, times, layers = s['inputs'], 256 // s['inputs'], s['layers']
    by_layer = lambda x: np.repeat(x.reshape(layers, inputs, -1)[:, None], times, 1).reshape(layers * 256, -1)
    wider = {
        'per_layer_token_embd.weight': lambda x: by_layer(x.T).T / np.float32(math.sqrt(times)),
        'per_layer_model_proj.weight': by_layer,
        'per_layer_proj_norm.weight': lambda x: np.tile(x, times),
        'inp_gate.weight': lambda x: np.tile(x, (times, 1)),
        'proj.weight': lambda x: np.tile(x, (1, times)) / np.float32(times),
        'laurel_l.weight': lambda x: np.pad(x, ((0, 64 - s['rank']), (0, 0))),
        'laurel_r.weight': lambda x: np.pad(x, ((0, 0), (0, 64 - s['rank']))),
    }
    key = lambda name: name.split('.', 2)[2] if name.startswith('blk.') else name
    return {**s, 'inputs': 256}, [(name, np.ascontiguousarray(wider.get(key(name), lambda x: x)(x))) for name, x in values]


def logits(path, tokens, ctx, start=0):
    """Logits of every token by llama.cpp, `[tokens, vocab]`; the first is at position `start`."""
    model = L.llama_model_load_from_file(str(path).encode(), L.llama_model_default_params())
    assert model, f'cannot load {path}'
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = ctx, 512, 512, 1, 1
    cp.flash_attn_type = 0
    cp.type_k = cp.type_v = 0
    cp.swa_full = True
    c = L.llama_init_from_model(model, cp)
    n = len(tokens)
    b = L.llama_batch_init(n, 0, 1)
    b.n_tokens = n
    for i, t in enumerate(tokens):
        b.token[i] = t; b.pos[i] = start + i; b.n_seq_id[i] = 1; b.seq_id[i][0] = 0; b.logits[i] = 1
    assert L.llama_decode(c, b) == 0
    rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(c, i), (VOCAB,)).copy() for i in range(n)]
    L.llama_batch_free(b); L.llama_free(c); L.llama_model_free(model)
    return np.stack(rows).astype(np.float64)


def start():
    """Makes llama.cpp ready; what it returns must stay alive."""
    L.llama_backend_init()
    keep = L.llama_log_callback(lambda level, text, data: sys.stderr.write(text.decode()) if level == 4 else None)
    L.llama_log_set(keep, ctypes.c_void_p(0))
    return keep


def keep_logits(out, name, tokens, ref, peer, every=8):
    """Writes the logits of some positions, and how far the peer is from them."""
    positions = sorted({*range(0, TOKENS, every), TOKENS - 1})
    r, p = ref[positions], peer[positions]
    nmse = float(((p - r) ** 2).sum() / ((r - r.mean()) ** 2).sum())
    top1 = float((p.argmax(1) == r.argmax(1)).mean())
    r.astype('<f4').tofile(out / f'{name}.f32')
    (out / f'{name}.json').write_text(json.dumps(dict(model=f'{name}.gguf', tokens=tokens, positions=positions,
                                                      vocab=VOCAB, peer_nmse=nmse, peer_top1=top1)) + '\n')
    print(f'{name}: {(out / f"{name}.gguf").stat().st_size} bytes, std {r.std():.3f}, peer nmse {nmse:.2e}')


def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
    keep = start()
    for seed, (name, spec) in enumerate(SPECS.items()):
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        s = {**BASE, **spec}
        rng = np.random.default_rng(100 + s.get('seed', seed))
        values = tensors(s, rng)
        tokens = [int(t) for t in rng.integers(0, VOCAB, TOKENS)]
        write(out / f'{name}.gguf', s, values, True)
        with tempfile.TemporaryDirectory() as tmp:
            made = [pathlib.Path(tmp) / f'{kind}.gguf' for kind in ('f32', 'f16')]
            for path, half in zip(made, (False, True)):
                write(path, *as_reference(s, values), half)
            ref, peer = (logits(path, tokens, s['ctx'], s['start']) for path in made)
        if s['exact']:
            ref = s['exact'](s, values, tokens)
        keep_logits(out, name, tokens, ref, peer)


if __name__ == '__main__':
    main()
