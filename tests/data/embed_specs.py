"""The tiny models that make_embed.py makes: what each has, and how it differs from the sizes that most have."""

# Norms are of the stream before both parts (`pre`), behind them (`post`), or of what they add, too (`around`).
BASE = dict(dim=32, layers=2, heads=4, kv=None, hd=8, ff=48, ctx=128, eps=1e-5, theta=10000.0, norms='post', rms=False, biases=True,
            norm_bias=True, act='gelu', gate=None, fused_qkv=False, positions=False, kinds=0, turn=None, alibi=0.0, window=0, full=[],
            local_theta=None, experts=None, head_norm=None, scale=1.0, dense=[], labels=0, inner=None, pooling=1, keys={}, embed_norm=True,
            out_norm=None, first_unnormed=False, causal=False, texts=[80, 1, 33, 70], second=None)

SPECS = {
    # As bge and all-MiniLM: heads and widths that are no whole registers.
    'bert': dict(seed=200, arch='bert', dim=24, heads=3, ff=40, positions=True, kinds=2, pooling=2, keys={'attention.causal': False}),
    # As bge-reranker: a classifier with one score; of the second text tokens are of another kind, as of ms-marco-MiniLM.
    'bert-rank': dict(seed=201, arch='bert', positions=True, kinds=2, labels=1, inner='tanh', pooling=4, second=20),
    'nomic-bert': dict(seed=202, arch='nomic-bert', act='silu', gate='split', fused_qkv=True, biases=False, kinds=2, turn='halves',
                       theta=1000.0),
    'nomic-bert-moe': dict(seed=203, arch='nomic-bert-moe', layers=4, fused_qkv=True, kinds=1, turn='halves',
                           experts=dict(n=6, used=2, every=2)),
    'jina-bert-v3': dict(seed=204, arch='jina-bert-v3', fused_qkv=True, kinds=1, turn='halves', theta=20000.0),
    'jina-bert-v2': dict(seed=205, arch='jina-bert-v2', gate='fused', kinds=2, alibi=8.0, heads=6, hd=4, dim=24),
    # Queries and keys are normed, and another norm is behind the attention and the layer's input once more.
    'jina-bert-v2-code': dict(seed=206, arch='jina-bert-v2', gate='split', kinds=2, alibi=8.0, head_norm='whole', again=True),
    # Five layers: the first and the fourth see everything.
    'modern-bert': dict(seed=207, arch='modern-bert', layers=5, norms='pre', gate='fused', fused_qkv=True, biases=False, norm_bias=False,
                        turn='halves', theta=160000.0, local_theta=10000.0, window=20, full=[0, 3], out_norm='output_norm',
                        first_unnormed=True, pooling=2, keys={'attention.sliding_window_pattern': 3}),
    'modern-bert-rank': dict(seed=208, arch='modern-bert', layers=2, norms='pre', gate='fused', act='silu', fused_qkv=True, biases=False,
                             norm_bias=False, turn='halves', theta=160000.0, local_theta=10000.0, window=20, full=[0],
                             out_norm='output_norm', first_unnormed=True, labels=1, inner='gelu', pooling=4,
                             keys={'hidden_activation': 'silu', 'classifier.pooling_type': 1}),
    # Seven layers, of which the sixth sees everything; two matrices behind the mean.
    'gemma-embedding': dict(seed=209, arch='gemma-embedding', layers=7, dim=24, heads=3, kv=1, norms='around', rms=True, biases=False,
                            act='gelu_tanh', gate='split', turn='halves', theta=1e6, local_theta=10000.0, window=21, full=[5],
                            head_norm='each', scale=24 ** 0.5, embed_norm=False, out_norm='output_norm', dense=[40, 24]),
    'neo-bert': dict(seed=210, arch='neo-bert', norms='pre', rms=True, act='silu', gate='fused', fused_qkv=True, biases=False,
                     turn='neighbours', embed_norm=False, out_norm='enc.output_norm', pooling=2),
    'eurobert': dict(seed=211, arch='eurobert', kv=2, norms='pre', rms=True, act='silu', gate='split', biases=False, turn='halves',
                     embed_norm=False, out_norm='output_norm'),
    'llama-embed': dict(seed=212, arch='llama-embed', kv=2, norms='pre', rms=True, act='silu', gate='split', biases=False,
                        turn='neighbours', embed_norm=False, out_norm='output_norm'),
    # Decoders, of which one reads texts as a whole.
    'qwen3': dict(seed=213, arch='qwen3', kv=2, norms='pre', rms=True, act='silu', gate='split', biases=False, turn='halves',
                  head_norm='each', embed_norm=False, out_norm='output_norm', causal=True, pooling=3),
    'qwen3-rank': dict(seed=214, arch='qwen3', kv=2, norms='pre', rms=True, act='silu', gate='split', biases=False, turn='halves',
                       head_norm='each', embed_norm=False, out_norm='output_norm', causal=True, labels=2, pooling=4),
    'qwen2-whole': dict(seed=215, arch='qwen2', kv=2, norms='pre', rms=True, act='silu', gate='split', biases='qkv', turn='halves',
                        embed_norm=False, out_norm='output_norm', pooling=3, keys={'attention.causal': False}),
}
