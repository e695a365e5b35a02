#!/usr/bin/env python3
"""Make small vocabularies of the families without a shared one, texts, and the expected ids.

usage: make_vocab.py OUT_DIR [NAME ...]     Needs: pip install gguf sentencepiece tokenizers (llama-cpp-python, to compare)

    t5      Unigram, trained by SentencePiece, with a table of characters; its own ids are expected
    bert    WordPiece, trained by the package `tokenizers`; its ids are expected
    plamo2  the tokens of `t5` by the rule of PLaMo 2; llama.cpp's ids are expected

Writes NAME.gguf, NAME.inp and NAME.out in the format of the shared vocabularies, and prints where llama.cpp differs.
"""
import ctypes, io, pathlib, sys, tempfile
import gguf

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEPARATOR = '\n__ggml_vocab_test__\n'
MORE = ['a\u00a0b\u3000c', 'ﬁne oﬃce', 'ＷＩＤＥ ｌｅｔｔｅｒｓ', 'e\u0301te\u0301', 'tab\tand\x01control\x7f', 'x' * 300, ' ' * 70,
        'Ünïcödé ÀÉÎÕÜ ñ Ł ø ß İ', '中文and English混在', 'don\'t (stop) [now]! $5.00 + 3% = ~`^', '\u200bzero\u200dwidth', 'ab\ufffdcd',
        'packed packing unpacked kernels kernel kernelkernel', '한국어', '𝕬𝖇𝖈 𠀀', ' a  b   c ', 'aaaa aaa aa a', 'naïve café',
        '日本語です。日本', '\ufeff mark']


def texts():
    shared = ROOT.parent / 'shared/vocab/qwen2.inp'
    return shared.read_bytes().decode().split(SEPARATOR)[:-1] + MORE


def corpus():
    text = (ROOT / 'README.md').read_text() + (ROOT / 'ARCHITECTURE.md').read_text() + '\n'.join(MORE[:4])
    return [line for line in text.split('\n') if line.strip()]


def peer(path, all):
    """llama.cpp's ids of texts."""
    import llama_cpp as L
    params = L.llama_model_default_params()
    params.vocab_only = True
    vocab = L.llama_model_get_vocab(L.llama_model_load_from_file(str(path).encode(), params))
    for text in all:
        raw = text.encode()
        buffer = (ctypes.c_int32 * (len(raw) + 16))()
        n = L.llama_tokenize(vocab, raw, len(raw), buffer, len(buffer), False, False)
        yield list(buffer[:n])


def keep(out, name, writer, ids=None):
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    all, path = texts(), out / f'{name}.gguf'
    theirs = list(peer(path, all))
    expected = [ids(t) for t in all] if ids else theirs
    (out / f'{name}.inp').write_bytes(SEPARATOR.join(all).encode())
    (out / f'{name}.out').write_text(''.join(' '.join(map(str, e)) + '\n' for e in expected))
    print(f'{name}: {path.stat().st_size} bytes, {len(all)} texts')
    for text, want, have in zip(all, expected, theirs):
        if have != want:
            print(f'  llama.cpp differs: {text[:60]!r}: {have[:20]} for {want[:20]}')


def t5(out):
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    rules = {(c,): [c - 0xFEE0] for c in range(0xFF01, 0xFF5F)}
    rules.update({(c,): [0x20] for c in (9, 10, 13, 0xA0, 0x3000)})
    rules.update({(c,): [] for c in [*range(1, 9), 0x7F, 0x200B]})
    rules.update({(0xFB01,): [0x66, 0x69], (0xFB03,): [0x66, 0x66, 0x69], (0x65, 0x301): [0xE9], (0xBD,): [0x31, 0x2044, 0x32]})
    text = lambda cs: ' '.join(f'{c:X}' for c in cs)
    with tempfile.TemporaryDirectory() as tmp:
        table = pathlib.Path(tmp) / 'rules.tsv'
        table.write_text(''.join(f'{text(a)}\t{text(b)}\n' for a, b in sorted(rules.items())))
        model = io.BytesIO()
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()), model_writer=model, model_type='unigram', vocab_size=700,
            normalization_rule_tsv=str(table), pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False,
            user_defined_symbols=['<extra_id_0>'], num_threads=1, minloglevel=2)
    sp = spm.SentencePieceProcessor(model_proto=model.getvalue())
    proto = pb.ModelProto(); proto.ParseFromString(model.getvalue())
    w = gguf.GGUFWriter(str(out / 't5.gguf'), 't5')
    w.add_name('t5'); w.add_tokenizer_model('t5')
    w.add_token_list([p.piece for p in proto.pieces])
    w.add_token_scores([p.score for p in proto.pieces])
    w.add_token_types([p.type for p in proto.pieces])
    w.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
    w.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
    w.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
    w.add_pad_token_id(0); w.add_eos_token_id(1); w.add_unk_token_id(2)
    keep(out, 't5', w, sp.encode)


def bert(out):
    from tokenizers import BertWordPieceTokenizer
    t = BertWordPieceTokenizer(lowercase=True)
    t.train_from_iterator(corpus(), vocab_size=700, min_frequency=1, limit_alphabet=200, show_progress=False)
    vocab = sorted(t.get_vocab().items(), key=lambda v: v[1])
    assert [v[1] for v in vocab] == list(range(len(vocab)))
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']

    def phantom(token):
        if token in special:
            return token
        return token[2:] if token.startswith('##') else '▁' + token

    w = gguf.GGUFWriter(str(out / 'bert.gguf'), 'bert')
    w.add_name('bert'); w.add_tokenizer_model('bert'); w.add_tokenizer_pre('default')
    w.add_token_list([phantom(v[0]) for v in vocab])
    w.add_token_types([3 if v[0] in special else 1 for v in vocab])
    id = dict(vocab)
    w.add_pad_token_id(id['[PAD]']); w.add_unk_token_id(id['[UNK]']); w.add_sep_token_id(id['[SEP]'])
    w.add_bos_token_id(id['[CLS]']); w.add_mask_token_id(id['[MASK]'])
    keep(out, 'bert', w, lambda s: t.encode(s, add_special_tokens=False).ids)


def plamo2(out):
    fields = gguf.GGUFReader(str(out / 't5.gguf')).fields
    tokens, scores, types = (fields[f'tokenizer.ggml.{key}'].contents() for key in ('tokens', 'scores', 'token_type'))
    # Scores of two digits, so that ways cost the same; two that are out of bounds; Japanese.
    more = ['日本', '日本語', '本語', '本', '語', 'です', 'で', 'す', '。', '\n', '  ', 'Ünï', '中文', '▁', 'ab ', ' c']
    kept = {t: -8.5 for t in more} | {t.replace('▁', ' '): round(s, 1) for t, s, k in zip(tokens, scores, types) if k == 1}
    kept = list(kept.items())
    kept[100], kept[101] = (kept[100][0], -2000.5), (kept[101][0], float('-inf'))
    special = ['<|plamo:unk|>', '<|plamo:bos|>', '<|plamo:eos|>', '<|plamo:pad|>', '<|plamo:op|>']
    w = gguf.GGUFWriter(str(out / 'plamo2.gguf'), 'plamo2')
    w.add_name('plamo2'); w.add_tokenizer_model('plamo2'); w.add_tokenizer_pre('default')
    w.add_token_list(special + [f'<0x{b:02X}>' for b in range(256)] + [t for t, _ in kept])
    w.add_token_scores([0.0] * (len(special) + 256) + [s for _, s in kept])
    w.add_token_types([2] + [3] * (len(special) - 1) + [6] * 256 + [1] * len(kept))
    w.add_bos_token_id(1); w.add_eos_token_id(2); w.add_unk_token_id(0); w.add_pad_token_id(3); w.add_eot_token_id(4)
    w.add_add_bos_token(True)
    keep(out, 'plamo2', w)


def main():
    out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True)
    for make in (t5, bert, plamo2):
        if len(sys.argv) < 3 or make.__name__ in sys.argv[2:]:
            make(out)


main()
