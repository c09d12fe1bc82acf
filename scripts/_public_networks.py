"""Small variants of 30 public architectures, built without weights, as networks of images.

Ten each of torchvision's, timm's and Hugging Face's. What takes a sequence gets the rows of
pixels: as samples (audio), or through a linear layer as embeddings (text, state spaces).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

CLASSES = 10


@dataclass(frozen=True)
class PublicNetwork:
    """An architecture, and what the references have to know of it.

    Attributes:
        name: Its library's and its own.
        build: Makes the network.
        blocks: Patterns of the names of its blocks: what repeats, and what else has parts.
        features: The name of the module whose output goes into the global pooling; without one,
            what the last linear layer gets.
        last: Whether maps between blocks have their channels last.
        rows: How many of the first features are `(B, C, N)`, as convolutions of samples return.
        pixels: Height and width of the images.
    """

    name: str
    build: Callable[[], nn.Module]
    blocks: tuple[str, ...]
    features: str = ""
    last: bool = False
    rows: int = 0
    pixels: int = 32


def networks() -> tuple[PublicNetwork, ...]:
    """All 30."""
    return (*_torchvision(), *_timm(), *_transformers())


def built(network: PublicNetwork, seed: int) -> nn.Module:
    """The network with weights of a seed, in float64, without dropout."""
    torch.manual_seed(seed)
    made = network.build()
    parts: list[Any] = list(made.modules())
    for module in parts:
        kind = type(module).__name__
        if isinstance(module, nn.modules.dropout._DropoutNd) or kind == "StochasticDepth":
            module.p = 0.0
        elif kind.endswith("DropPath"):
            module.drop_prob = 0.0
    return made.double()


def _torchvision() -> list[PublicNetwork]:
    from torchvision import models

    few: dict[str, Any] = {"weights": None, "num_classes": CLASSES}
    vit = partial(
        models.VisionTransformer,
        image_size=32, patch_size=8, num_layers=3, num_heads=3, hidden_dim=48, mlp_dim=96,
        num_classes=CLASSES,
    )  # fmt: skip
    swin = partial(
        models.SwinTransformer,
        patch_size=[2, 2], embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4],
        num_classes=CLASSES, dropout=0.0, stochastic_depth_prob=0.0,
        block=models.swin_transformer.SwinTransformerBlockV2,
        downsample_layer=models.swin_transformer.PatchMergingV2,
    )  # fmt: skip
    dense = partial(
        models.DenseNet, growth_rate=8, block_config=(2, 3, 2), num_init_features=16,
        num_classes=CLASSES,
    )  # fmt: skip
    google = partial(models.googlenet, aux_logits=True, init_weights=False, **few)
    every = ("features.*",)
    return [
        PublicNetwork("torchvision resnet18", partial(models.resnet18, **few), ("layer?.?",),
                      "layer4"),
        PublicNetwork("torchvision mobilenet_v2", partial(models.mobilenet_v2, **few), every,
                      "features"),
        PublicNetwork("torchvision mobilenet_v3_small",
                      partial(models.mobilenet_v3_small, **few), every, "features"),
        PublicNetwork("torchvision efficientnet_b0", partial(models.efficientnet_b0, **few),
                      ("features.0", "features.[1-7].?", "features.8"), "features"),
        PublicNetwork("torchvision shufflenet_v2_x0_5",
                      partial(models.shufflenet_v2_x0_5, **few), ("stage?.?",), "conv5"),
        PublicNetwork("torchvision squeezenet1_1", partial(models.squeezenet1_1, **few),
                      tuple(f"features.{i}" for i in (3, 4, 6, 7, 9, 10, 11, 12)),
                      "classifier.2"),
        PublicNetwork("torchvision googlenet", google, ("conv?", "inception??"), "inception5b",
                      pixels=64),
        PublicNetwork("torchvision densenet (7 layers)", dense,
                      ("features.denseblock?", "features.transition?"), "features"),
        PublicNetwork("torchvision vit (3 layers)", vit, ("encoder.layers.*",)),
        PublicNetwork("torchvision swin_v2 (4 layers)", swin,
                      ("features.[13].?", "features.2"), "permute", last=True),
    ]  # fmt: skip


def _timm() -> list[PublicNetwork]:
    import timm

    def made(name: str, **options: Any) -> Callable[[], nn.Module]:
        return partial(timm.create_model, name, pretrained=False, num_classes=CLASSES, **options)

    token: dict[str, Any] = {"img_size": 32, "patch_size": 8}
    bit = partial(
        timm.models.resnetv2.ResNetV2,
        layers=(1, 1, 1, 1), channels=(128, 128, 256, 256), stem_chs=32, num_classes=CLASSES,
        stem_type="fixed", conv_layer=partial(timm.layers.StdConv2d, eps=1e-8),
    )  # fmt: skip
    gmlp = partial(
        timm.models.mlp_mixer.MlpMixer,
        num_blocks=3, embed_dim=48, mlp_ratio=4,
        block_layer=timm.models.mlp_mixer.SpatialGatingBlock,
        mlp_layer=timm.layers.GatedMlp, num_classes=CLASSES, **token,
    )  # fmt: skip
    return [
        PublicNetwork("timm resnet10t", made("resnet10t"), ("layer?.?",), "layer4"),
        PublicNetwork("timm resnetv2 (4 blocks, bit)", bit, ("stages.?",), "norm"),
        PublicNetwork("timm nf_resnet26", made("nf_resnet26"), ("stages.?.?",), "final_act"),
        PublicNetwork("timm mobilenetv3_small_050", made("mobilenetv3_small_050"),
                      ("blocks.?.?",), "blocks"),
        PublicNetwork("timm efficientnet_lite0", made("efficientnet_lite0"), ("blocks.?.?",),
                      "bn2"),
        PublicNetwork("timm convnext_atto", made("convnext_atto"), ("stages.?",), "norm_pre"),
        PublicNetwork("timm vit_tiny (3 layers)",
                      made("vit_tiny_patch16_224", depth=3, embed_dim=48, **token),
                      ("patch_embed", "blocks.*")),
        PublicNetwork("timm swin_tiny (4 layers)",
                      made("swin_tiny_patch4_window7_224", img_size=32, patch_size=2, embed_dim=24,
                           depths=(2, 2), num_heads=(2, 4), window_size=4),
                      ("patch_embed", "layers.?"), "norm", last=True),
        PublicNetwork("timm gmlp_ti16 (3 layers)", gmlp,
                      ("stem", "blocks.*")),
        PublicNetwork("timm sequencer2d_s (2 layers)",
                      made("sequencer2d_s", layers=(1, 1), patch_sizes=(4, 1), embed_dims=(24, 24),
                           hidden_sizes=(6, 6), mlp_ratios=(2.0, 2.0), img_size=32),
                      ("stem", "stages.?"), "norm", last=True),
    ]  # fmt: skip


class Rows(nn.Module):
    """Gives a network for sequences the rows of an image.

    Args:
        network: Takes `(B, L, width)`, or the samples `(B, L)`.
        width: Of the embeddings; 0 where the network takes samples.
        name: Of its argument.
        height: Of the images; all rows of all channels are one sequence.
    """

    def __init__(self, network: nn.Module, width: int, name: str, pixels: int = 32) -> None:
        super().__init__()
        self.network, self.name = network, name
        self.embed = nn.Linear(3 * pixels, width) if width else None

    def forward(self, images: Tensor) -> Any:
        """What the network returns."""
        if self.embed is None:
            return self.network(**{self.name: images.flatten(1)})
        rows = images.transpose(1, 2).flatten(2)
        return self.network(**{self.name: self.embed(rows)})


class LastState(nn.Module):
    """A linear layer on the last state of a sequence model."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model, self.head = model, nn.Linear(width, CLASSES)

    def forward(self, inputs_embeds: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.model(inputs_embeds=inputs_embeds).last_hidden_state[:, -1])


def _transformers() -> list[PublicNetwork]:
    import transformers as hf

    def made(kind: str, model: str = "ForImageClassification", **options: Any) -> nn.Module:
        config = getattr(hf, f"{kind}Config")(num_labels=CLASSES, **options)
        return getattr(hf, f"{kind}{model}")(config)

    tokens: dict[str, Any] = {
        "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3,
        "intermediate_size": 96,
    }  # fmt: skip

    def bert() -> nn.Module:
        text = made("Bert", "ForSequenceClassification", vocab_size=100,
                    max_position_embeddings=64, hidden_dropout_prob=0.0,
                    attention_probs_dropout_prob=0.0, **tokens)  # fmt: skip
        return Rows(text, 48, "inputs_embeds")

    def gpt2() -> nn.Module:
        text = made("GPT2", "ForSequenceClassification", vocab_size=100, n_positions=64, n_embd=48,
                    n_layer=3, n_head=3, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0,
                    pad_token_id=0)  # fmt: skip
        return Rows(text, 48, "inputs_embeds")

    def wav2vec() -> nn.Module:
        audio = made(
            "Wav2Vec2", "ForSequenceClassification", conv_dim=(24, 24, 24), conv_stride=(5, 4, 2),
            conv_kernel=(10, 8, 4), num_feat_extract_layers=3, num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=4, classifier_proj_size=24, layerdrop=0.0,
            hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
            feat_proj_dropout=0.0, mask_time_prob=0.0, apply_spec_augment=False, **tokens,
        )  # fmt: skip
        return Rows(audio, 0, "input_values")

    def mamba() -> nn.Module:
        states = made("Mamba", "Model", vocab_size=100, hidden_size=24, state_size=4,
                      num_hidden_layers=2, use_cache=False)  # fmt: skip
        return Rows(LastState(states, 24), 24, "inputs_embeds")

    vit = partial(made, "ViT", image_size=32, patch_size=8, hidden_dropout_prob=0.0,
                  attention_probs_dropout_prob=0.0, **tokens)  # fmt: skip
    swin = partial(made, "Swin", image_size=32, patch_size=2, embed_dim=24, depths=[2, 2],
                   num_heads=[2, 4], window_size=4, drop_path_rate=0.0)  # fmt: skip
    convnext = partial(made, "ConvNextV2", hidden_sizes=[24, 48, 64, 96], depths=[1, 1, 2, 1])
    mobilenet = partial(made, "MobileNetV2", depth_multiplier=0.35, image_size=32)
    levit = partial(
        made, "Levit", image_size=64, hidden_sizes=[32, 48, 64], num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1], key_dim=[8, 8, 8], drop_path_rate=0,
    )  # fmt: skip
    pool = partial(made, "PoolFormer", hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1],
                   drop_path_rate=0.0)  # fmt: skip
    named = [
        ("ViT (3 layers)", vit, ("vit.embeddings", "vit.layers.*")),
        ("Swin (4 layers)", swin, ("swin.embeddings", "swin.encoder.layers.*")),
        (
            "ConvNextV2 (5 layers)",
            convnext,
            ("convnextv2.embeddings", "convnextv2.encoder.stages.?"),
        ),
        (
            "MobileNetV2 (width 0.35)",
            mobilenet,
            ("mobilenet_v2.conv_stem", "mobilenet_v2.layer.*", "mobilenet_v2.conv_1x1"),
        ),
        ("LeViT (3 stages)", levit, ("levit.patch_embeddings", "levit.encoder.stages.*")),
        (
            "PoolFormer (4 layers)",
            pool,
            ("poolformer.encoder.patch_embeddings.?", "poolformer.encoder.block.?.?"),
        ),
        (
            "BERT (3 layers, embeddings)",
            bert,
            ("network.bert.embeddings", "network.bert.encoder.layer.*"),
        ),
        ("GPT-2 (3 layers, embeddings)", gpt2, ("network.transformer.h.*",)),
        (
            "Wav2Vec2 (3 layers)",
            wav2vec,
            (
                "network.wav2vec2.feature_extractor",
                "network.wav2vec2.feature_projection",
                "network.wav2vec2.encoder.pos_conv_embed",
                "network.wav2vec2.encoder.layers.*",
            ),
        ),
        ("Mamba (2 layers)", mamba, ("network.model.layers.*",)),
    ]
    sizes, rows = {"LeViT (3 stages)": 64}, {"Wav2Vec2 (3 layers)": 1}
    maps = {
        "ConvNextV2 (5 layers)": "convnextv2.encoder.stages.3",
        "MobileNetV2 (width 0.35)": "mobilenet_v2.conv_1x1",
    }
    return [
        PublicNetwork(
            f"transformers {name}",
            build,
            blocks,
            maps.get(name, ""),
            rows=rows.get(name, 0),
            pixels=sizes.get(name, 32),
        )
        for name, build, blocks in named
    ]
