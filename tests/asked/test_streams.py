"""The random numbers are the documented function of their counters, and look like random numbers."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark.asked import streams
from benchmark.asked.streams import (
    DATA,
    EVALUATION,
    INITIALISATION,
    MAX_LANES,
    OFFSET,
    PROFILE,
    Draw,
    bits,
    counter,
    key,
    uniform,
)

STREAMS = [DATA, INITIALISATION, OFFSET, EVALUATION, PROFILE]
# Steele, Lea & Flood 2014 (OOPSLA), figure 17, the finaliser of SplitMix64 ("Variant 13" of D. Stafford).
MULTIPLIERS64 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
GOLDEN64 = 0x9E3779B97F4A7C15


def modulo(bits, value):
    return value % (1 << bits)


def splitmix64(state):
    z = modulo(64, state + GOLDEN64)
    z = modulo(64, (z ^ z >> 30) * MULTIPLIERS64[0])
    z = modulo(64, (z ^ z >> 27) * MULTIPLIERS64[1])
    return z ^ z >> 31


def unshifted(z, shift):
    result = z
    for _ in range(64 // shift):
        result = z ^ result >> shift
    return result


def splitmix64_inverse(z):
    z = modulo(64, unshifted(z, 31) * pow(MULTIPLIERS64[1], -1, 1 << 64))
    z = modulo(64, unshifted(z, 27) * pow(MULTIPLIERS64[0], -1, 1 << 64))
    return modulo(64, unshifted(z, 30) - GOLDEN64)


def lowbias32(h):
    h = modulo(32, (h ^ h >> 16) * 0x21F0AAAD)
    h = modulo(32, (h ^ h >> 15) * 0x735A2D97)
    return h ^ h >> 15


def expected_key(seed, stream, step):
    return splitmix64(modulo(64, splitmix64(modulo(64, splitmix64(seed) + stream)) + step))


def expected_bits(key, which, lane):
    counter = modulo(32, (which << 20) + lane)
    return lowbias32(lowbias32(counter ^ modulo(32, key)) ^ modulo(32, counter * 0x9E3779B1 + (key >> 32)))


def unsigned(tensor, bits):
    return [modulo(bits, value) for value in tensor.flatten().tolist()]


def block(seeds=64, steps=64, inputs=2, lanes=128, stream=DATA):
    """Uniform numbers [seed, step, input, lane] as float64."""
    keys = key(torch.arange(seeds)[:, None], stream, torch.arange(steps))
    return uniform(keys, counter(inputs, lanes)).double().numpy()


def test_the_64_bit_mixer_gives_the_first_published_numbers_of_splitmix64():
    # Vigna's splitmix64.c seeded with 0; the state grows by the golden ratio.
    states = [streams._signed(modulo(64, i * GOLDEN64), 64) for i in range(3)]
    mixed = unsigned(streams._mix64(torch.tensor(states)), 64)
    assert mixed == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@pytest.mark.parametrize("seed", [0, 1, 43953907, 2**40 + 17, 2**63 - 1])
@pytest.mark.parametrize("stream", STREAMS)
def test_keys_are_the_documented_formula(seed, stream):
    steps = [0, 1, 2, 999_999, 2**33]
    expected = [expected_key(seed, stream, step) for step in steps]
    assert unsigned(key(seed, stream, torch.tensor(steps)), 64) == expected


@pytest.mark.parametrize("seed", [0, 5, 2**50])
def test_a_key_gives_its_step_back_so_keys_are_a_bijection_of_the_step(seed):
    steps = [*range(1000), 2**31, 2**32 + 1, 2**62]
    start = splitmix64(splitmix64(seed) + DATA)
    keys = unsigned(key(seed, DATA, torch.tensor(steps)), 64)
    assert [modulo(64, splitmix64_inverse(k) - start) for k in keys] == steps


def test_seeds_streams_and_steps_never_share_a_key():
    keys = [key(torch.arange(200), stream, torch.arange(200)[:, None]).flatten() for stream in STREAMS]
    assert torch.cat(keys).unique().numel() == 200 * 200 * len(STREAMS)


def test_bits_are_the_documented_formula():
    keys = key(torch.tensor([0, 3, 77])[:, None], DATA, torch.tensor([0, 19_999]))
    words = [[[expected_bits(k, i, lane) for lane in range(70)] for i in range(5)] for k in unsigned(keys, 64)]
    assert unsigned(bits(keys, counter(5, 70)), 32) == np.array(words).ravel().tolist()


@pytest.mark.parametrize(("which", "lane"), [(0, MAX_LANES - 1), (1, 0), (99, 127), (2047, 9), (2048, 9), (4095, 3)])
def test_bits_are_the_documented_formula_at_the_ends_of_the_counter(which, lane):
    (word,) = unsigned(bits(key(8, DATA), counter(which + 1, 1, first_lane=lane))[which], 32)
    assert word == expected_bits(expected_key(8, DATA, 0), which, lane)


def expected_fine(key, which, lane):
    counter = modulo(32, (which << 20) + lane)
    half = modulo(32, lowbias32(counter ^ modulo(32, key)) + 0x632BE5AB)
    return lowbias32(half ^ modulo(32, counter * 0x9E3779B1 + (key >> 32)))


def test_uniform_numbers_are_52_bits_of_two_words_and_a_half():
    keys = key(torch.arange(50), DATA)
    places = [(k, i, lane) for k in unsigned(keys, 64) for i in range(3) for lane in range(100)]
    of_words = [
        (modulo(32, expected_bits(*place) + 2**31) << 21) + (expected_fine(*place) >> 12 << 1) + 1 for place in places
    ]
    u = uniform(keys, counter(3, 100))
    assert (u.numpy().ravel() == np.array(of_words, dtype=float) * 2.0**-53).all()


def test_uniform_numbers_are_odd_multiples_of_two_to_the_minus_53_within_0_and_1():
    u = uniform(key(torch.arange(1000), DATA), counter(2, 128))
    assert u.dtype == torch.float64
    counts = (u * 2**53).long()
    assert (counts % 2 == 1).all()
    assert 0 < u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    share = (counts.flatten()[:, None] >> torch.arange(1, 53) & 1).double().mean(0)
    assert (share - 0.5).abs().max() < 4.5 * 0.5 / np.sqrt(u.numel())


def test_the_two_words_of_a_place_are_unrelated():
    coarse, fine = (
        w.numpy().astype(np.uint32).ravel() for w in streams.words(key(torch.arange(400), DATA), counter(2, 128))
    )
    u, v = coarse / 2**32, fine / 2**32
    for f in (lambda w: w - 0.5, lambda w: (w - 0.5) ** 2, lambda w: np.sin(16 * np.pi * w)):
        assert abs(np.corrcoef(f(u), f(v))[0, 1]) < 4.5 / np.sqrt(u.size)
    flipped = (coarse ^ fine)[:, None] >> np.arange(32) & 1
    assert np.abs(flipped.mean(0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(u.size)
    assert stats.chisquare(np.bincount((fine >> 12 << 12 >> 24).astype(int), minlength=256)).pvalue > 1e-3


def test_a_batch_begins_as_every_larger_batch():
    keys = key(torch.arange(4), DATA, 7)
    large = bits(keys, counter(5, 1000))
    for inputs, lanes in [(1, 1), (2, 37), (5, 128), (3, 999)]:
        assert torch.equal(bits(keys, counter(inputs, lanes)), large[:, :inputs, :lanes])


def test_a_batch_can_be_drawn_in_parts():
    keys = key(torch.arange(4), DATA, 7)
    parts = [bits(keys, counter(2, 40, first_lane=start)) for start in (0, 40, 80)]
    assert torch.equal(torch.cat(parts, -1), bits(keys, counter(2, 120)))


def test_a_seeds_batch_does_not_depend_on_the_other_seeds():
    together = uniform(key(torch.tensor([9, 4, 123]), DATA, 3), counter(2, 50))
    assert torch.equal(together[1], uniform(key(4, DATA, 3), counter(2, 50)))


def test_more_lanes_than_the_counter_holds_are_refused():
    with pytest.raises(ValueError, match="at most 1048576"):
        bits(key(0, DATA), counter(1, 2, first_lane=MAX_LANES - 1))


def test_no_batch_is_another_one_repeated_shifted_or_permuted():
    keys = key(torch.arange(64)[:, None], DATA, torch.arange(64)).flatten()
    words = bits(keys, counter(1, 32)).squeeze(1).numpy()
    assert len(np.unique(np.sort(words, axis=1), axis=0)) == len(keys)
    neighbours = np.lib.stride_tricks.sliding_window_view(words, 2, axis=1).reshape(-1, 2)
    assert len(np.unique(neighbours, axis=0)) == len(neighbours)
    backwards = np.unique(np.concatenate([neighbours, neighbours[:, ::-1]]), axis=0)
    assert len(backwards) == 2 * len(neighbours)
    # Of 2^17 numbers of 32 bits, 2^34 / 2 / 2^32 = 2 pairs are equal by chance.
    assert words.size - len(np.unique(words)) < 10


def test_no_batch_is_another_one_shifted_by_a_constant():
    keys = key(torch.arange(64)[:, None], DATA, torch.arange(64)).flatten()
    words = bits(keys, counter(1, 4)).squeeze(1).numpy().astype(np.uint32)
    for differences in (np.diff(words, axis=1), words[:, 1:] ^ words[:, :-1]):
        assert len(np.unique(differences, axis=0)) == len(keys)


def test_every_bit_is_set_half_of_the_time():
    words = np.array(unsigned(bits(key(torch.arange(400), DATA), counter(2, 128)), 32))
    share = (words[:, None] >> np.arange(32) & 1).mean(0)
    assert np.abs(share - 0.5).max() < 4.5 * 0.5 / np.sqrt(len(words))


@pytest.mark.parametrize("what", ["seed", "step", "lane", "input"])
def test_each_bit_flips_half_of_the_time_when_a_counter_grows_by_one(what):
    words = bits(key(torch.arange(101)[:, None], DATA, torch.arange(11)), counter(3, 33)).numpy().astype(np.uint32)
    axis = ["seed", "step", "input", "lane"].index(what)
    size = words.shape[axis] - 1
    flipped = (words.take(range(1, size + 1), axis) ^ words.take(range(size), axis)).ravel()
    share = (flipped[:, None] >> np.arange(32) & 1).mean(0)
    assert np.abs(share - 0.5).max() < 4.5 * 0.5 / np.sqrt(len(flipped))


@pytest.mark.parametrize("stream", STREAMS)
def test_moments_are_those_of_the_uniform_distribution(stream):
    u = block(steps=32, stream=stream).ravel() - 0.5
    for power in range(1, 7):
        mean = 0 if power % 2 else 0.5**power / (power + 1)
        sd = np.sqrt(0.5 ** (2 * power) / (2 * power + 1) - mean**2)
        assert abs((u**power).mean() - mean) < 4 * sd / np.sqrt(u.size), power


@pytest.mark.parametrize("lag", [1, 2, 3, 8, 32])
@pytest.mark.parametrize("axis", ["seed", "step", "lane"])
def test_neighbours_are_uncorrelated(axis, lag):
    u = block()
    along = ["seed", "step", "input", "lane"].index(axis)
    size = u.shape[along] - lag
    a, b = u.take(range(size), along).ravel(), u.take(range(lag, size + lag), along).ravel()
    for f in (lambda v: v - 0.5, lambda v: (v - 0.5) ** 2, lambda v: np.sin(16 * np.pi * v)):
        assert abs(np.corrcoef(f(a), f(b))[0, 1]) < 4.5 / np.sqrt(a.size)


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations(range(4), 2)))
def test_inputs_are_uncorrelated(i, j):
    u = block(seeds=50, steps=20, inputs=4)
    assert abs(np.corrcoef(u[:, :, i].ravel(), u[:, :, j].ravel())[0, 1]) < 4.5 / np.sqrt(u[:, :, 0].size)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(STREAMS, 2)))
def test_streams_of_one_seed_are_uncorrelated(one, other):
    a, b = block(steps=8, stream=one).ravel(), block(steps=8, stream=other).ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(a.size)


def test_each_number_mixes_all_pairs_of_seed_and_step():
    u = block(seeds=40, steps=40, inputs=1, lanes=512).reshape(1600, 512)
    r = np.corrcoef(u)[np.triu_indices(1600, 1)] * np.sqrt(512)
    assert np.abs(r).max() < 6
    assert r.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("axis", ["seed", "step", "input", "lane"])
def test_pairs_of_neighbours_fill_the_square_evenly(axis):
    u = (block(seeds=32, steps=32) * 16).astype(int)
    along = ["seed", "step", "input", "lane"].index(axis)
    size = u.shape[along] // 2 * 2
    a, b = u.take(range(0, size, 2), along), u.take(range(1, size, 2), along)
    assert stats.chisquare(np.bincount((a * 16 + b).ravel(), minlength=256)).pvalue > 1e-3


@pytest.mark.parametrize("stream", STREAMS)
def test_numbers_follow_the_uniform_law_as_numpys_philox_does(stream):
    u = block(seeds=16, steps=16, stream=stream).ravel()
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.ks_2samp(u, np.random.Generator(np.random.Philox(stream)).random(u.size)).pvalue > 1e-3


def test_the_smallest_and_largest_of_a_batch_are_distributed_as_philoxs():
    batches, philox = block(lanes=64).reshape(-1, 64), np.random.Generator(np.random.Philox(1)).random((8192, 64))
    for extreme in (np.min, np.max, np.ptp):
        assert stats.ks_2samp(extreme(batches, axis=1), extreme(philox, axis=1)).pvalue > 1e-3


def test_draws_lie_between_their_bounds_and_reach_them():
    drawn = Draw(torch.arange(1000)).uniform((2, 50), -0.3, 0.7)
    assert drawn.shape == (1000, 2, 50)
    assert drawn.dtype == torch.float64
    assert -0.3 < drawn.min() < -0.2999
    assert 0.6999 < drawn.max() < 0.7
    assert stats.kstest(drawn.flatten().numpy(), "uniform", args=(-0.3, 1.0)).pvalue > 1e-3


def test_draws_are_odd_multiples_of_two_to_the_minus_33_and_so_never_touch_their_bounds():
    halves = Draw(torch.arange(100)).uniform((50,), 0.0, 1.0) * 2.0**33
    assert (halves % 2 == 1).all()


@pytest.mark.parametrize(("sd", "cut"), [(0.02, 2.0), (1.0, 2.0), (3.0, 1.0)])
def test_truncated_normals_are_cut_and_have_the_law_of_scipy(sd, cut):
    drawn = Draw(torch.arange(1000)).truncated_normal((2, 50), sd, cut).flatten().numpy()
    law = stats.truncnorm(-cut, cut, scale=sd)
    assert np.abs(drawn).max() < cut * sd
    assert np.abs(drawn).max() > 0.999 * cut * sd
    assert drawn.std() == pytest.approx(law.std(), rel=0.01)
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-3


def test_truncated_normals_are_cut_at_two_standard_deviations_unless_told_otherwise():
    drawn = Draw(torch.arange(1000)).truncated_normal((100,), 0.02)
    assert 0.0399 < drawn.abs().max() < 0.04


def test_a_constant_is_the_same_everywhere():
    assert torch.equal(Draw(torch.arange(3)).constant((2, 1), 0.25), torch.full((3, 2, 1), 0.25).double())


def test_each_call_is_a_fresh_stream():
    draw = Draw(torch.arange(500))
    first, second, third = (draw.uniform((4,), 0, 1).flatten().numpy() for _ in range(3))
    for a, b in itertools.combinations((first, second, third), 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(2000)
        assert not np.isin(a, b).any()


def test_calls_follow_each_other_in_the_same_order_for_everybody():
    one, other = Draw(torch.tensor([5])), Draw(torch.tensor([5]))
    one.truncated_normal((7,), 1.0)
    other.uniform((3, 3), 0, 1)
    assert torch.equal(one.uniform((2,), 0, 1), other.uniform((2,), 0, 1))


def test_a_seeds_draw_does_not_depend_on_the_other_seeds():
    alone, together = Draw(torch.tensor([5])), Draw(torch.tensor([0, 11, 5, 2]))
    for _ in range(3):
        assert torch.equal(alone.truncated_normal((2, 3), 0.02)[0], together.truncated_normal((2, 3), 0.02)[2])


def test_a_seeds_initial_weights_are_not_its_data():
    drawn = Draw(torch.arange(200)).uniform((128,), 0, 1).flatten().numpy()
    data = uniform(key(torch.arange(200), DATA), counter(1, 128)).flatten().double().numpy()
    assert abs(np.corrcoef(drawn, data)[0, 1]) < 4.5 / np.sqrt(drawn.size)
