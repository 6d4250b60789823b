"""The network: equal to transformers' VideoMAE on every patch, and to each clip alone on few of them."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from childgait.errors import StepError
from childgait.files.hashes import sha256
from childgait.models import videomae
from childgait.models.batch import Batch
from childgait.models.checkpoints import load_checkpoint
from childgait.models.childgait_video import ChildGaitVideo
from childgait.models.tokens import Packing, pack, pack_clips
from childgait.models.videomae import DEVIATION, MEAN, SIZES, DropPath, Size, VideoMAE, VideoMAESettings, positions
from childgait.params import Encoder
from support.small_study import settings

SMALL = Size(width=96, depth=3, heads=4, hidden=192, patch=16)
ALL = Packing(2, 16, "none", 0.0, 0, 1)
PRUNED = Packing(2, 16, "mask", 0.1, 2, 8)


def shake(model, seed=0):
    """Every weight, bias and norm away from its start, attention sharp: else mistakes hide."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = 0.3 if parameter.ndim == 1 else 2 / math.sqrt(parameter[0].numel())
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator) * (0.3 if "proj" in name else 1))
    return model.eval()


def close(one, other, tolerance):
    torch.testing.assert_close(one.detach(), other.detach(), rtol=0, atol=tolerance)


def clips_of(batch, frames, pixels, seed=0):
    """Noise, and masks of different sizes."""
    rng = np.random.default_rng(seed)
    video = rng.integers(0, 256, (batch, frames, pixels, pixels, 3), dtype=np.uint8)
    masks = np.zeros((batch, frames, pixels, pixels), bool)
    for number in range(batch):
        masks[number, :, 10 : pixels // 2 + 8 * number, 12 : pixels // 3 + 13 * number] = True
    return video, masks


def build(frames=4, pixels=64, outputs=34, size=SMALL, drop_path=0.0):
    return VideoMAE(VideoMAESettings(size, frames, pixels, outputs, drop_path, 0.0))


@pytest.fixture(scope="module")
def reference():
    """transformers' VideoMAE with eager attention and the official epsilons."""
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    config = VideoMAEConfig(
        hidden_size=SMALL.width,
        num_hidden_layers=SMALL.depth,
        num_attention_heads=SMALL.heads,
        intermediate_size=SMALL.hidden,
        layer_norm_eps=1e-6,
        qkv_bias=True,
        use_mean_pooling=True,
        num_labels=34,
        attn_implementation="eager",
    )
    model = VideoMAEForVideoClassification(config)
    model.fc_norm.eps = 1e-6
    return shake(model)


def test_every_patch_kept_equals_transformers(reference, tmp_path):
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    model = build(16, 224).eval()
    loaded = load_checkpoint(model, tmp_path / "model.safetensors", sha256(tmp_path / "model.safetensors"))
    assert loaded.unused == ()
    assert loaded.kept == ()
    video, _ = clips_of(2, 16, 224)
    colours = (torch.from_numpy(video) / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    colours = colours.permute(0, 1, 4, 2, 3)
    packed = pack_clips(video, None, ALL)
    with torch.no_grad():
        theirs = reference(colours)
        features = reference.fc_norm(reference.videomae(colours)[0].mean(1))
        close(model.features(packed), features, 1e-5)
        close(model(packed), theirs.logits, 1e-5)
    assert features.std() > 0.5


def test_packed_clips_equal_each_alone_in_logits_and_gradients():
    video, masks = clips_of(4, 4, 64)
    model = shake(build()).train()
    together = pack_clips(video, masks, PRUNED)
    assert len(set(together.lengths)) == 4
    weights = torch.randn(4, 34, generator=torch.Generator().manual_seed(1))
    logits = model(together)
    (logits * weights).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    alone = torch.cat([model(pack_clips(video[i : i + 1], masks[i : i + 1], PRUNED)) for i in range(4)])
    close(logits, alone, 1e-5)
    (alone * weights).sum().backward()
    for name, parameter in model.named_parameters():
        close(parameter.grad, gradients[name], 1e-5 * max(float(gradients[name].abs().max()), 1e-3))


def test_padding_with_a_mask_gives_the_same():
    """The textbook way, written out: padded to the longest, attention masked, the mean over what is real."""
    video, masks = clips_of(3, 4, 64)
    model = shake(build())
    packed = pack_clips(video, masks, PRUNED)
    longest = max(packed.lengths)
    with torch.no_grad():
        x = model.patch_embed(model.normalise(packed.patches)) + model.position[packed.index]
        x = nn.utils.rnn.pad_sequence(list(x.split(packed.lengths)), batch_first=True)
        real = torch.arange(longest) < torch.tensor(packed.lengths)[:, None]
        for block in model.blocks:
            a = block.attn
            h = block.norm1(x)
            q, k, v = (h @ a.qkv.weight.T).chunk(3, dim=-1)
            q, v = q + a.q_bias, v + a.v_bias
            q, k, v = (y.unflatten(-1, (SMALL.heads, -1)).transpose(1, 2) for y in (q, k, v))
            scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
            x = x + a.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
            x = x + block.mlp(block.norm2(x))
        mean = (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        close(model(packed), model.head(model.fc_norm(mean)), 1e-5)


def test_a_dropped_patch_changes_no_logit():
    video, masks = clips_of(2, 4, 64)
    model = shake(build())
    packed = pack_clips(video, masks, PRUNED)
    kept = {(int(c), int(i)) for c, i in zip(packed.clip, packed.index, strict=True)}
    changed = video.copy()
    for clip in range(2):
        for index, (t, y, x) in enumerate(np.ndindex(2, 4, 4)):
            if (clip, index) not in kept:
                changed[clip, 2 * t : 2 * t + 2, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16] ^= 255
    assert (changed != video).any()
    with torch.no_grad():
        assert torch.equal(model(packed), model(pack_clips(changed, masks, PRUNED)))


def test_the_patch_embedding_is_the_official_convolution():
    video, _ = clips_of(1, 4, 64)
    model = shake(build())
    packed = pack_clips(video, None, ALL)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # ImageNet, RGB
    colours = (torch.from_numpy(video[0]) / 255 - mean) / deviation
    with torch.no_grad():
        expected = model.patch_embed.proj(colours.permute(3, 0, 1, 2)[None])[0].flatten(1).T
        close(model.patch_embed(model.normalise(packed.patches)), expected, 1e-5)


def test_positions_are_official_or_say_that_they_are_interpolated():
    table, how = positions(48, 16, (8, 14, 14))
    assert how == "official"
    assert table.shape == (1568, 48)
    assert table[3, 4].item() == pytest.approx(math.sin(3 / 10000 ** (4 / 48)), abs=1e-7)
    assert table[1567, 5].item() == pytest.approx(math.cos(1567 / 10000 ** (4 / 48)), abs=1e-7)
    halved, how = positions(48, 16, (4, 14, 14))
    assert how == "interpolated from 8x14x14 to 4x14x14 tokens"
    volume = table.view(8, 14, 14, 48)
    close(halved.view(4, 14, 14, 48)[1], (volume[2] + volume[3]) / 2, 1e-6)
    assert positions(48, 14, (8, 16, 16))[1] == "official"  # giant's patches are smaller


def test_separable_positions_can_be_read_by_a_linear_layer():
    table, how = positions(192, 16, (8, 4, 4), "separable")
    assert how == "separable"
    assert table.shape == (128, 192)
    place = torch.stack(torch.meshgrid(*(torch.arange(n) for n in (8, 4, 4)), indexing="ij"), dim=-1).flatten(0, 2)
    design = torch.cat([table, torch.ones(len(table), 1)], dim=1).double()
    fitted = design @ torch.linalg.lstsq(design, place.double(), driver="gelsd").solution
    assert (fitted - place).abs().max() < 0.01
    assert positions(192, 16, (8, 14, 14), "separable")[1] == "official"  # published weights keep their table


@pytest.mark.parametrize("lengths", [(5, 9, 7), (40, 41, 64), (1, 1, 2)])
def test_padded_attention_equals_the_loop_over_clips(lengths, monkeypatch):
    index = [torch.arange(length) for length in lengths]
    packed = pack([torch.zeros(length, 4, dtype=torch.uint8) for length in lengths], index)
    qkv = torch.randn(sum(lengths), 3, 3, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert videomae.padding_pays(lengths)
    padded = videomae.attend(qkv, packed)
    (gradient,) = torch.autograd.grad(padded.square().sum(), qkv)
    monkeypatch.setattr(videomae, "PADDED_LONGEST", 0)
    assert not videomae.padding_pays(lengths)
    looped = videomae.attend(qkv, packed)
    (expected,) = torch.autograd.grad(looped.square().sum(), qkv)
    torch.testing.assert_close(padded, looped, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)
    half = videomae.attend_padded(qkv.detach().bfloat16(), packed)
    torch.testing.assert_close(half.float(), looped.detach(), rtol=0.05, atol=0.02)


def test_unlike_or_long_clips_are_not_padded():
    assert not videomae.padding_pays((4, 4, 40))
    assert not videomae.padding_pays((1568, 1500))


def test_drop_path_leaves_out_whole_clips():
    video, masks = clips_of(4, 4, 64)
    packed = pack_clips(video, masks, PRUNED)
    drop = DropPath(0.5).train()
    torch.manual_seed(0)
    rows = torch.cat([drop(torch.ones(sum(packed.lengths), 3), packed) for _ in range(50)])
    per_clip = rows.view(50, -1, 3).split(packed.lengths, dim=1)
    assert all(((clip == clip[:, :1, :1]).all() and set(clip.unique().tolist()) == {0.0, 2.0}) for clip in per_clip)
    assert len({tuple(clip[:, 0, 0].tolist()) for clip in per_clip}) == 4  # clips are drawn one by one
    assert torch.equal(drop.eval()(rows, packed), rows)
    assert [block.drop_path.rate for block in build(drop_path=0.2).blocks] == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("name", "millions"), [("small", 21.89), ("base", 86.25), ("large", 303.9), ("huge", 631.7), ("giant", 1012)]
)
def test_sizes_have_the_published_numbers_of_parameters(name, millions):
    with torch.device("meta"):
        model = build(16, 224, size=SIZES[name])
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, rel=1e-3)


ENCODER = Encoder(
    size="tiny",
    prompt="drawn",
    prune="mask",
    min_foreground=0.1,
    dilate_pixels=2,
    min_tokens=8,
    positions="interpolated",
    drop_path=0.1,
    head_hidden=64,
    head_dropout=0.3,
)
PLAIN = ENCODER.model_copy(update={"prompt": "none", "prune": "none"})


def test_childgait_video_answers_34_items_and_starts_at_the_prior():
    video, masks = clips_of(3, 4, 64)
    model = ChildGaitVideo(ENCODER, 4, 64).eval()
    batch = Batch(3, packed=pack_clips(video, masks, model.packing))
    assert model(batch).shape == (3, 34)
    prior = torch.linspace(0.1, 0.9, 34)
    model.set_prior_bias(prior)
    close(model(batch).sigmoid(), prior.expand(3, 34), 0.02)


def test_both_switches_off_is_plain_videomae():
    model = ChildGaitVideo(PLAIN, 4, 64)
    assert model.inputs == {"frames"}
    assert not model.prompted
    video, masks = clips_of(2, 4, 64)
    assert pack_clips(video, masks, model.packing).lengths == (32, 32)
    on = ChildGaitVideo(ENCODER, 4, 64)
    assert on.inputs == {"frames", "points", "masks"}
    assert on.prompted
    assert [p.shape for p in on.parameters()] == [p.shape for p in model.parameters()]


def test_layers_decay_as_timm_groups_them():
    from timm.models import group_parameters

    model = ChildGaitVideo(ENCODER, 4, 64)
    groups = group_parameters(model, model.group_matcher(), reverse=True)
    assert {name: model.layer_of(name) for name, _ in model.named_parameters()} == groups
    assert model.layer_of("encoder.blocks.2.attn.q_bias") == 3
    assert model.layer_of("head.0.weight") == 5


def test_clips_that_do_not_fit_the_encoder_are_refused():
    section = settings(frames=16).model_copy(update={"encoder": PLAIN})
    with pytest.raises(StepError, match="cannot read clips of 16 frames and 120 pixels"):
        ChildGaitVideo.from_settings(section, 120)
    section = section.model_copy(update={"frames": 15})
    with pytest.raises(StepError, match="15 frames do not divide into tubelets of 2"):
        ChildGaitVideo.from_settings(section, 112)


def test_the_same_seed_learns_the_same():
    video, masks = clips_of(3, 4, 64)

    def step():
        torch.manual_seed(3)
        model = ChildGaitVideo(ENCODER, 4, 64).train()
        batch = Batch(3, packed=pack_clips(video, masks, model.packing))
        model(batch).square().sum().backward()
        return [p.grad for p in model.parameters()]

    for one, other in zip(step(), step(), strict=True):
        assert torch.equal(one, other)


def test_half_precision_keeps_the_residual_stream_whole():
    video, masks = clips_of(3, 4, 64)
    model = shake(build())
    packed = pack_clips(video, masks, PRUNED)
    with torch.no_grad():
        exact = model.features(packed)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert model.tokens(packed).dtype == torch.float32
            half = model.features(packed)
    assert (half - exact).abs().max() < 0.15
    assert (half - exact).square().mean().sqrt() < 0.03


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_half_precision_equals_float32_on_cpu():
    video, masks = clips_of(4, 4, 64)
    model = shake(build())
    packed = pack_clips(video, masks, PRUNED)
    with torch.no_grad():
        exact = model.features(packed)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            half = model.cuda().features(packed.to("cuda")).cpu()
    assert (half - exact).square().mean().sqrt() < 0.03
