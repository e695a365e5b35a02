"""The weights of a model that arch_specs.py describes, and the file with them."""
import numpy as np
import gguf

VOCAB = 96


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
    if s['positions']:
        mat('position_embd.weight', s['ctx'], D, std=0.5)
    if s['embed_norm']:
        norm('token_embd_norm')
    norm(s['out_norm'])
    if not s['tied']:
        mat('output.weight', VOCAB, D)
    if s['out_bias']:
        vec('output.bias', VOCAB, std=0.3)
    if s['streams']:
        n = s['streams']
        mat('output_hc_fn.weight', n, n * D); vec('output_hc_base.weight', n, std=0.5); vec('output_hc_scale.weight', 1, base=1.0)
    if s['hyper'] and s['hyper'] != 'even':
        mat('output_hc_fn.weight', 4, 4 * D, std=0.1); vec('output_hc_base.weight', 4, std=0.5)
        vec('output_hc_scale.weight', 1, base=1.0)
    if s['cycles']:
        vec('hrm.z_l_init', D, std=0.5)
    if s['kept']:
        vec('output_res_score.weight', D, std=0.5)
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
    for i in range(2 * s['cycles'][0] if s['cycles'] else s['layers'] + s['nextn']):
        p = f'blk.{i}.'
        of = lambda v: v[i] if isinstance(v, list) else v
        F, H, K, windowed = of(s['ff']), of(s['heads']), of(s['kv']), s['windows'] and s['windows'][i]
        sparse = isinstance(s['heads'], list)
        hd = windowed and s['hd_w'] or s['hd']
        vd = s['vd'] or hd
        own = s['spare'] or not s['layers'] - s['shared'] <= i < s['layers']
        if i >= s['layers']:
            mat(p + 'nextn.eh_proj.weight', D, 2 * D)
            norm(p + 'nextn.enorm')
            norm(p + 'nextn.hnorm')
            if s['arch'].startswith('bailingmoe'):
                norm(p + 'layer_output_norm')
        m = s['ssm']
        for key in ('before', 'second', 'after', 'ff_before', 'ff_after'):
            if sparse and not {'before': H, 'ff_before': F}.get(key):
                continue
            norm(s[key] and p + s[key], base=s['back'] if key == 'ff_after' else 1.0)
            if m and m.get('bare') and key == 'ff_before' or s[key] in s['bare']:
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
        m = s['mamba']
        if m and not K:
            W, n, R = m['width'], m['state'], m['rank']
            mat(p + 'ssm_in.weight', 2 * W, D, std=0.3)
            mat(p + 'ssm_conv1d.weight', W, 4, std=0.5); vec(p + 'ssm_conv1d.bias', W)
            mat(p + 'ssm_x.weight', R + 2 * n, W, std=0.3)
            if m.get('normed'):
                norm(p + 'ssm_dt_norm', R); norm(p + 'ssm_b_norm', n); norm(p + 'ssm_c_norm', n)
            mat(p + 'ssm_dt.weight', W, R, std=0.5); vec(p + 'ssm_dt.bias', W, std=1.0)
            out.append((p + 'ssm_a', -rng.uniform(0.05, 2.0, (W, n)).astype(np.float32)))
            vec(p + 'ssm_d', W, base=1.0)
            mat(p + 'ssm_out.weight', D, W)
        m = s['told']
        if m and not K:
            W, n, R = m['heads'] * m['dim'], m['state'], max(64, D // 16)
            mat(p + 'ssm_in.weight', 2 * W, D, std=0.3)
            mat(p + 'ssm_conv1d.weight', W, 4, std=0.5)
            mat(p + 'ssm_x.weight', 2 * n + R, W, std=0.3)
            vec(p + 'ssm_dt_norm', R, base=1.0); vec(p + 'ssm_b_norm', n, base=1.0); vec(p + 'ssm_c_norm', n, base=1.0)
            mat(p + 'ssm_dt.weight', m['heads'], R, std=0.3); vec(p + 'ssm_dt.bias', m['heads'], std=1.0)
            out.append((p + 'ssm_a', -rng.uniform(0.05, 2.0, m['heads']).astype(np.float32)))
            vec(p + 'ssm_d', m['heads'], base=1.0)
            mat(p + 'ssm_out.weight', D, W)
        if s['kda'] and not K:
            n = s['kda']; W = H * n
            for part in 'qkv':
                mat(p + f'attn_{part}.weight', W, D, std=0.3)
                mat(p + f'ssm_conv1d_{part}.weight', 1, W, 1, 4, std=0.5)
            whole, one_gate = s['whole_kda'] is True, s['whole_kda'] == 'gate'
            mat(p + 'ssm_f_a.weight', W if whole else n, D, std=0.3)
            if not whole:
                mat(p + 'ssm_f_b.weight', W, n, std=0.3)
            mat(p + 'ssm_beta.weight', H, D, std=0.3)
            vec(p + 'ssm_dt.bias', W, std=1.0)
            rates = rng.uniform(0.05, 2.0, (1, 1, H, 1)).astype(np.float32)
            out.append((p + 'ssm_a', -rates[0, 0, :, 0] if s['flat_rates'] else rates[0, 0] if whole
                        else -rates.reshape(-1) if one_gate else -rates))
            mat(p + ('ssm_g.weight' if one_gate else 'ssm_g_a.weight'), W if whole or one_gate else n, D, std=0.3)
            if not whole and not one_gate:
                mat(p + 'ssm_g_b.weight', W, n, std=0.3)
            vec(p + 'ssm_norm.weight', n, base=1.0)
            mat(p + 'attn_output.weight', D, W)
        lightning = s['lightning'] and i % s['lightning'] != s['lightning'] - 1
        if lightning:
            W = H * hd
            mat(p + 'attn_qkv.weight', 3 * W, D, std=0.3); mat(p + 'attn_gate.weight', W, D, std=0.3)
            vec(p + 'attn_norm_2.weight', W, base=1.0)
            mat(p + 'attn_output.weight', D, W)
        m = s['rwkv']
        if m:
            n, R, kv = m['head'], m['ranks'], (m.get('kv') or D // m['head']) * m['head']
            seventh = 'residual' in R
            parts = [('receptance', D), ('key', kv), ('value', kv)] + ([] if seventh else [('gate', D)])
            for part, rows in parts:
                mat(p + f'time_mix_{part}.weight', rows, D, std=0.3)
                if m.get('bias') and part != 'gate':
                    vec(p + f'time_mix_{part}.bias', rows)
            if seventh:
                shares = 6 if R['gate'] else 5
                for part, rank in [('w', R['decay']), ('a', R['rate']), ('v', R['residual'] if i else R['rate'])]:
                    vec(p + f'time_mix_{part}0.weight', D, std=0.5)
                    mat(p + f'time_mix_{part}1.weight', rank, D, std=0.3); mat(p + f'time_mix_{part}2.weight', D, rank, std=0.3)
                if R['gate']:
                    mat(p + 'time_mix_g1.weight', R['gate'], D, std=0.3); mat(p + 'time_mix_g2.weight', D, R['gate'], std=0.5)
                for part in ('k_k', 'k_a', 'r_k'):
                    vec(p + f'time_mix_{part}.weight', D, base=0.7, std=0.2)
            else:
                shares = 5
                vec(p + 'time_mix_lerp_x.weight', D, base=0.5, std=0.2)
                mat(p + 'time_mix_w1.weight', 5 * R['mix'], D, std=0.3); mat(p + 'time_mix_w2.weight', 5, D, R['mix'], std=0.3)
                if not m.get('linear'):
                    vec(p + 'time_mix_first.weight', D // n, n, std=0.5)
                vec(p + 'time_mix_decay.weight', D, base=-1.0, std=1.0)
                mat(p + 'time_mix_decay_w1.weight', R['decay'], D, std=0.3); mat(p + 'time_mix_decay_w2.weight', D, R['decay'], std=0.3)
            if m.get('apart'):
                for part in 'wkvrg':
                    vec(p + f'time_mix_lerp_{part}.weight', D, base=0.5, std=0.2)
            else:
                vec(p + 'time_mix_lerp_fused.weight', shares, 1, 1, D, base=0.5, std=0.2)
            if not m.get('linear') and not m.get('bare'):
                vec(p + 'time_mix_ln.weight', D, base=1.0); vec(p + 'time_mix_ln.bias', D)
            mat(p + 'time_mix_output.weight', D, D, std=0.2)
            if m.get('channel'):
                vec(p + 'channel_mix_lerp_k.weight', D, base=0.5, std=0.2)
                mat(p + 'channel_mix_key.weight', F, D); mat(p + 'channel_mix_value.weight', D, F)
                if not seventh:
                    vec(p + 'channel_mix_lerp_r.weight', D, base=0.5, std=0.2)
                    mat(p + 'channel_mix_receptance.weight', D, D)
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
        if l and l.get('windowed') and s['keys']['attention.sliding_window_pattern'][i]:
            l = {**l, **l['windowed']}
            hd = l['hd']
        if l and K:
            if l.get('windowed'):
                norm(p + 'attn_k_norm', s['rope'])
            if l['q']:
                mat(p + 'attn_q_a.weight', l['q'], D, std=0.3); norm(p + 'attn_q_a_norm', l['q'])
            mat(p + ('attn_q_b.weight' if l['q'] else 'attn_q.weight'), H * hd, l['q'] or D, std=0.3)
            mat(p + 'attn_kv_a_mqa.weight', l['kv'] + s['rope'], D, std=0.3); norm(p + 'attn_kv_a_norm', l['kv'])
            if l.get('whole'):
                mat(p + 'attn_kv_b.weight', H * (hd - s['rope'] + l['v']), l['kv'], std=0.3)
            else:
                mat(p + 'attn_k_b.weight', H, l['kv'], hd - s['rope'], std=0.3)
                mat(p + 'attn_v_b.weight', H, l['v'], l['kv'], std=0.3)
            mat(p + 'attn_output.weight', D, H * l['v'])
        v = s['pooled']
        if v:
            ratio, x = v['ratios'][i], s['indexer']
            mat(p + 'attn_q_a.weight', v['q'], D, std=0.3); norm(p + 'attn_q_a_norm', v['q'])
            mat(p + 'attn_q_b.weight', H * hd, v['q'], std=0.3)
            mat(p + 'attn_kv.weight', hd, D, std=0.3); norm(p + 'attn_kv_a_norm', hd)
            mat(p + 'attn_output_a.weight', v['groups'] * v['rank'], H // v['groups'] * hd)
            mat(p + 'attn_output_b.weight', D, v['groups'] * v['rank'])

            def pool(part, dim):
                width = 2 * dim if ratio == 4 else dim
                mat(p + part + '_kv.weight', width, D); mat(p + part + '_gate.weight', width, D, std=0.5)
                mat(p + part + '_ape.weight', ratio, width, std=0.5); norm(p + part + '_norm', dim)
            if ratio:
                pool('attn_compressor', hd)
            if ratio == 4:
                pool('indexer_compressor', x['dim'])
                mat(p + 'indexer.proj.weight', x['heads'], D); mat(p + 'indexer.attn_q_b.weight', x['heads'] * x['dim'], v['q'])
        if s['hyper']:
            for part, n, scales in (('attn', 24, 3), ('ffn', 24, 3)):
                mat(p + f'hc_{part}_fn.weight', n, 4 * D, std=0.1)
                vec(p + f'hc_{part}_base.weight', n, std=0.5); vec(p + f'hc_{part}_scale.weight', scales, base=1.0)
        x = s['indexer'] if not v else None
        if x and x.get('block'):
            if i >= s['experts']['first']:
                mat(p + 'indexer.q_proj.weight', x['heads'] * x['dim'], D); mat(p + 'indexer.k_proj.weight', x['dim'], D)
                vec(p + 'indexer.q_norm.weight', x['dim'], base=1.0); vec(p + 'indexer.k_norm.weight', x['dim'], base=1.0)
        elif x and K and i < s['layers'] and x.get('layers', [1] * 9)[i]:
            vec(p + 'indexer.k_norm.weight', x['dim'], base=1.0); vec(p + 'indexer.k_norm.bias', x['dim'])
            mat(p + 'indexer.proj.weight', x['heads'], D)
            mat(p + 'indexer.attn_k.weight', x['dim'], D); mat(p + 'indexer.attn_q_b.weight', x['heads'] * x['dim'], l['q'])
            if 'attention.indexer.kpool' in s['keys']:
                mat(p + 'indexer_compressor_gate.weight', x['dim'], D, std=0.5)
                mat(p + 'indexer_compressor_ape.weight', s['keys']['attention.indexer.kpool'], x['dim'], std=0.5)
        parts = [] if l or v or convolves or lightning or d and recurrent(s, i) or not K else \
            [('qkv', (H + K) * hd + K * vd)] if s['fused_qkv'] else \
            [('q', H * hd * (2 if d else 1)), ('k', K * hd), ('v', K * vd)]
        if s['v_is_k'] and not windowed:
            parts.pop()
        for name, rows in parts if own else parts[:1]:
            mat(p + f'attn_{name}.weight', rows, D, std=0.3)
            if s['qkv_bias']:
                vec(p + f'attn_{name}.bias', rows)
        if parts or sparse and H and not l:
            mat(p + 'attn_output.weight', D, H * vd)
        if s['inner']:
            norm(p + 'attn_sub_norm', H * hd); norm(p + 'ffn_sub_norm', F)
        if s['gate'] and not (s['kda'] and not K):
            mat(p + 'attn_gate.weight', H if s['gate'] == 'head' else H * (l['v'] if l else hd), D, std=0.3)
        if s['o_bias']:
            vec(p + 'attn_output.bias', D)
        if s['qk_norm'] == 'gain':
            vec(p + 'attn_q_norm.weight', H, 1, base=1.0, std=0.3)
        elif s['qk_norm'] and parts:
            shape = {'whole': lambda n: (n * hd,), 'head': lambda n: (hd,), 'own': lambda n: (n, hd)}[s['qk_norm']]
            vec(p + 'attn_q_norm.weight', *shape(H), base=s['qk'])
            if own:
                vec(p + 'attn_k_norm.weight', *shape(K), base=s['qk'])
            if s['head_bias']:
                vec(p + 'attn_q_norm.bias', H, hd); vec(p + 'attn_k_norm.bias', K, hd)
            if s['norm_bias'] and s['qk_norm'] == 'whole':
                vec(p + 'attn_q_norm.bias', H * hd); vec(p + 'attn_k_norm.bias', K * hd)
        if of(s['sinks']):
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
        if e and F and not e.get('beside') and i >= e.get('dense', e.get('first', 0)) and (i + 1) % e.get('every', 1) == 0 \
                and i < e.get('end', 99):
            n, M = e['n'], e['ff']
            if i < e.get('hashed', 0):
                out.append((p + 'ffn_gate_tid2eid.weight', rng.integers(0, n, (VOCAB, e['used'])).astype(np.int32)))
            elif e.get('choice'):
                vec(p + ('exp_probs_b' if e.get('bare') else 'exp_probs_b.bias'), n)
            if e.get('shared'):
                W = e['shared']
                both = e.get('shared_fused')
                if s['gated'] and not both:
                    mat(p + 'ffn_gate_shexp.weight', W, D)
                mat(p + 'ffn_up_shexp.weight', 2 * W if both else W, D)
                mat(p + 'ffn_down_shexp.weight', D, W)
                if e.get('shared_gate'):
                    mat(p + 'ffn_gate_inp_shexp.weight', D)
            mat(p + 'ffn_gate_inp.weight', n, D, std=0.5)
            N = e.get('narrow', D)
            if e.get('fused'):
                mat(p + 'ffn_gate_up_exps.weight', n, 2 * M, D)
            else:
                if s['gated']:
                    mat(p + 'ffn_gate_exps.weight', n, M, N)
                mat(p + 'ffn_up_exps.weight', n, M, N)
            mat(p + 'ffn_down_exps.weight', n, N, M)
            if e.get('narrow'):
                part = e['around']
                mat(p + f'ffn_{part}_down.weight', N, D, std=0.3)
                mat(p + f'ffn_{part}_up.weight', D, N, std=0.3)
                if part == 'routed':
                    vec(p + 'ffn_routed_norm.weight', N, base=1.0)
            if e.get('chunk'):
                M, n = e['chunk'], n // s['keys']['experts_per_group']
                mat(p + 'ffn_gate_chexps.weight', n, M, D); mat(p + 'ffn_up_chexps.weight', n, M, D)
                mat(p + 'ffn_down_chexps.weight', n, D, M, std=2.0)
            if e.get('dense_too'):
                mat(p + 'ffn_gate.weight', F, D); mat(p + 'ffn_up.weight', F, D); mat(p + 'ffn_down.weight', D, F)
            if e.get('ahead'):
                norm(p + 'ffn_norm_exps')
                for part in ('gate', 'up', 'down'):
                    mat(p + f'ffn_{part}.weight', D, D)
            if e.get('bias'):
                vec(p + 'ffn_gate_inp.bias', n); vec(p + 'ffn_gate_exps.bias', n, M); vec(p + 'ffn_up_exps.bias', n, M)
                vec(p + 'ffn_down_exps.bias', n, D)
        elif F and not (s['rwkv'] and s['rwkv'].get('channel')):
            if s['gated'] and not s['fused_gate']:
                mat(p + 'ffn_gate.weight', F, D)
            mat(p + 'ffn_up.weight', 2 * F if s['fused_gate'] else F, D)
            mat(p + 'ffn_down.weight', D, F)
            if s['ff_bias']:
                vec(p + 'ffn_up.bias', F); vec(p + 'ffn_down.bias', D)
                if s['gated']:
                    vec(p + 'ffn_gate.bias', F)
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
        if s['streams']:
            n = s['streams']
            for part in ('attn', 'ffn'):
                mat(p + f'hc_{part}_fn.weight', 2 * n, n * D)
                vec(p + f'hc_{part}_base.weight', 2 * n, std=0.5); vec(p + f'hc_{part}_scale.weight', 2, base=1.0)
        if s['kept']:
            vec(p + 'attn_res_score.weight', D, std=0.5); vec(p + 'ffn_res_score.weight', D, std=0.5)
        if s['factor']:
            vec(p + 'layer_output_scale.weight', 1, base=0.8)
        if s['adapters']:
            m = s['adapters']
            for part, outs, ins in (('attn_q', H * hd, D), ('attn_k', K * hd, D), ('attn_v', K * hd, D), ('attn_output', D, H * hd),
                                    ('ffn_gate', F, D), ('ffn_up', F, D), ('ffn_down', D, F)):
                mat(p + part + '.lora_a', m['n'] + 1, m['rank'], ins, std=0.5)
                mat(p + part + '.lora_b', m['n'] + 1, outs, m['rank'], std=0.2)
                out[-1][1][0] = 0
        if s['again']:
            for part in ('layer_output_scale.weight', 'attn_output.scale', 'ffn_down.scale'):
                vec(p + part, 1, base=0.7)
    return out


def write(path, s, values, half):
    w = gguf.GGUFWriter(str(path), s['arch'])
    a = s['arch']
    w.add_name('tiny random weights')
    ints = {'context_length': s['ctx'], 'embedding_length': s['dim'], 'block_count': s['layers'] + s['nextn'],
            'feed_forward_length': s['ff_said'] or s['ff'], 'attention.head_count': s['heads'], 'attention.head_count_kv': s['kv'],
            'vocab_size': VOCAB}
    if s['heads']:
        ints.update({'rope.dimension_count': s['hd'] if s['rope'] is None else s['rope'], 'attention.key_length': s['hd'],
                     'attention.value_length': s['vd'] or s['hd']})
    if s['latent']:
        l = s['latent']
        if l['q']:
            ints['attention.q_lora_rank'] = l['q']
        ints['attention.kv_lora_rank'] = l['kv']
        if l.get('whole'):
            ints.update({'attention.head_count_kv': s['heads'], 'attention.value_length': l['v']})
            if l['whole'] == 'unsaid':
                del ints['attention.value_length']
        else:
            if l.get('windowed'):
                m = l['windowed']
                ints.update({'attention.kv_lora_rank_swa': m['kv'], 'attention.key_length_swa': m['kv'] + s['rope'],
                             'attention.value_length_swa': m['kv'], 'attention.key_length_mla_swa': m['hd'],
                             'attention.value_length_mla_swa': m['v']})
            ints.update({'attention.head_count_kv': s['kv'] if isinstance(s['kv'], list) else 1,
                         'attention.key_length': l['kv'] + s['rope'], 'attention.value_length': l['kv'],
                         'attention.key_length_mla': s['hd'], 'attention.value_length_mla': l['v']})
    if s['indexer']:
        x = s['indexer']
        ints.update({'attention.indexer.head_count': x['heads'], 'attention.indexer.key_length': x['dim'],
                     'attention.indexer.top_k': x['top'],
                     **({'attention.indexer.block_size': x['block'], 'attention.indexer.local_blocks': x['last']} if 'block' in x else {}),
                     **({'attention.indexer.types': x['layers']} if 'layers' in x else {})})
    if s['pooled']:
        v = s['pooled']
        ints.update({'attention.q_lora_rank': v['q'], 'attention.output_group_count': v['groups'],
                     'attention.output_lora_rank': v['rank'], 'attention.compress_ratios': v['ratios']})
    if s['experts']:
        e = s['experts']
        ints.update({'expert_count': e['n'], 'expert_used_count': e['used'], 'expert_feed_forward_length': e['ff']})
        if e.get('narrow'):
            ints['expert_latent_length' if e['around'] == 'routed' else 'moe_latent_size'] = e['narrow']
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
    if s['mamba']:
        m = s['mamba']
        ints.update({'ssm.conv_kernel': 4, 'ssm.state_size': m['state'], 'ssm.time_step_rank': m['rank'],
                     'ssm.inner_size': m['width']})
    if s['told']:
        m = s['told']
        ints.update({'ssm.conv_kernel': 4, 'ssm.state_size': m['state'], 'ssm.group_count': 0,
                     'ssm.time_step_rank': m['heads'], 'ssm.inner_size': m['heads'] * m['dim'],
                     'attention.head_count': [s['heads'] if kv else 0 for kv in s['kv']]})
    if s['adapters']:
        m = s['adapters']
        ints.update({'adapters.count': m['n'], 'adapters.lora_rank': m['rank'], 'adapters.token_ids_activate': m['tokens'],
                     'adapters.token_ids_substitute': m['instead']})
    if s['kda']:
        ints.update({'ssm.conv_kernel': 4, 'kda.head_dim': s['kda']})
    if s['cycles']:
        ints.update(zip(('hrm.layers_per_stack', 'hrm.h_cycles', 'hrm.l_cycles'), s['cycles']))
    if s['streams']:
        ints['hyper_connection.count'] = s['streams']
    if s['kept']:
        ints['attn_res.block_size'] = s['kept']
    if s['lightning']:
        ints['full_attention_interval'] = s['lightning']
    if s['rwkv']:
        m = s['rwkv']
        R = m['ranks']
        ints.update({'wkv.head_size': m['head'], 'token_shift_count': 2 if m.get('channel') else 1})
        if m.get('kv'):
            ints['attention.head_count_kv'] = m['kv']
        if 'residual' in R:
            ints.update({'attention.decay_lora_rank': R['decay'], 'attention.iclr_lora_rank': R['rate'],
                         'attention.value_residual_mix_lora_rank': R['residual'], 'attention.gate_lora_rank': R['gate']})
        else:
            ints.update({'time_mix_extra_dim': R['mix'], 'time_decay_extra_dim': R['decay']})
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
        matrix = x.ndim > 1 and x.dtype != np.int32 and not name.endswith('.bias') and 'ffn_gate_inp' not in name and '_norm' not in name \
            and 'conv1d' not in name and 'conv.conv' not in name and '_coef.' not in name \
            and not name.endswith(('ssm_a', 'ssm_d')) and 'lerp' not in name and 'mix_first' not in name and '_ape.' not in name
        w.add_tensor(name, x.astype(np.float16) if half and matrix else x)
    w.write_header_to_file(); w.write_kv_data_to_file(); w.write_tensors_to_file(); w.close()
