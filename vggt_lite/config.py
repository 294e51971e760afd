"""Every size and every choice, in one readable place.

Three frozen dataclasses: `ModelConfig` (what the network is), `SceneConfig` (what a generated scene
looks like) and `TrainConfig` (how a model is trained). Derive variants with `config.with_(depth=4)`;
a configuration in use can never change under a model that was built from it.
"""

from dataclasses import dataclass, field
from math import inf

from vggt_lite.config_fields import Config, check_choice, check_multiple, check_range, check_sizes

# What `reconstruct`, `load_images`, the command line and the demo take where nothing is said.
DEFAULT_WEIGHTS = "tiny"
MODES = ("crop", "pad", "square")  # how photographs reach the network's size: data/images.py
DEFAULT_MODE = "crop"  # docs/evaluation.md: what each mode scores on photographs
PRECISIONS = ("exact", "fast")  # of a network's products on a CPU: utils/runtime.py, docs/small_machines.md
LENSES = ("each", "shared", "kept")  # which focal lengths a refinement frees: inference/refine.py
FRAMES_PER_SECOND = 2.0  # taken from a video: data/video.py
MAX_SIDE = 4096  # pixels of a picture that a network is given or that is rendered; more is a mistake


HEADS = ("camera", "depth", "point", "track")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """Sizes of a `VGGT`, and departures from it. The defaults are NANO, which trains on a laptop.

    `VGGT_1B` is the released model. Widths are channels C, depths count blocks, sizes are pixels.
    """

    # Images to tokens
    image_size: int = 64  # side of the square the position table was made for
    patch_size: int = 8
    patch_embed: str = "vit"  # "vit" (DINOv2) or "conv" (one strided convolution)
    dim: int = 96  # C: width of ViT and aggregator tokens
    num_heads: int = 4
    vit_depth: int = 3
    # Alternating attention
    depth: int = 4  # pairs of one frame block and one global block
    num_registers: int = 4  # extra tokens per view, in the ViT and in the aggregator
    layer_scale: float = 0.5  # first value of γ outside the ViT; 0.01 in the release, slow at this size
    rope_base: float = 100.0
    heads: tuple[str, ...] = HEADS
    # Camera head
    camera_depth: int = 1  # blocks of its trunk
    camera_num_heads: int = 4
    camera_iterations: int = 4
    # Dense heads: depth, point, and the tracker's feature maps
    dense_layers: tuple[int, ...] = (0, 1, 2, 3)  # the pairs of blocks they read
    dense_dims: tuple[int, ...] = (24, 32, 48, 64)  # widths of the four maps, fine to coarse
    dense_dim: int = 24  # width in which they are fused
    # Track head
    track_dim: int = 32  # width of a track feature
    track_fused: int = 24  # width in which the tracker's feature maps are fused
    track_levels: int = 3  # levels of the correlation pyramid; level l needs H, W ≥ 2 ** (l + 1)
    track_radius: int = 3  # the correlation window has (2 · radius + 1)² positions
    track_hidden: int = 64
    track_num_heads: int = 4
    track_depth: int = 2  # time blocks, and as many space blocks of each kind
    track_virtual: int = 8  # learned tokens through which tracks exchange information
    track_iterations: int = 4
    track_flow_scale: float = 64.0  # displacements in feature pixels are shown divided by this
    # False repeats an error of the released tracker: its feature maps carry no position embedding.
    # The later checkpoint (VGGT_tracker_fixed) was trained with True.
    track_position_embedding: bool = True
    # Where the centre of pixel (0, 0) lies in query points and tracks. The package counts from the
    # pixel's corner (0.5); the released weights were trained counting from its centre (0.0).
    pixel_center: float = 0.5
    # Departures from VGGT; the code of each is a file in vggt_lite/model/variants/.
    # What a pair of blocks attends to (VGGT, table 5). "alternating": one view, then all. "global": all
    # views in both blocks. "cross": in both, each view reads the other views and not itself.
    attention: str = "alternating"
    # Pairs of blocks in whose global block only camera and register tokens take part (as in VGGT-Ω).
    register_attention: tuple[int, ...] = ()
    global_positions: bool = True  # False: no rotary positions in attention across views (as in VGGT-Ω)
    # "none": no view is special (as in π³). Poses and points end in the first view's frame all the same.
    reference: str = "first"
    # Share of the patch tokens, of all views but the first, merged into similar ones during global
    # attention (as in FastVGGT): 0 is off, 0.5 merges every second patch.
    merge_tokens: float = 0.0

    def __post_init__(self) -> None:
        self.check_finite()
        check_sizes(self)
        check_choice("patch_embed", self.patch_embed, ("vit", "conv"))
        check_multiple("image_size", self.image_size, self.patch_size)
        if self.dim % (4 * self.num_heads):
            raise ValueError(
                f"dim={self.dim} / num_heads={self.num_heads} must be a multiple of 4: rotary "
                "positions turn row and column halves in pairs."
            )
        if (2 * self.dim) % self.camera_num_heads:
            raise ValueError(
                f"the camera head is 2 · dim = {2 * self.dim} wide, which does not split into "
                f"camera_num_heads={self.camera_num_heads} equal heads."
            )
        if self.track_hidden % self.track_num_heads:
            raise ValueError(
                f"track_hidden={self.track_hidden} does not split into track_num_heads="
                f"{self.track_num_heads} equal heads."
            )
        if unknown := set(self.heads) - set(HEADS):
            raise ValueError(f"unknown heads {sorted(unknown)}; choose among {HEADS}.")
        if len(self.dense_layers) != 4 or len(self.dense_dims) != 4:
            raise ValueError("dense heads fuse exactly four maps: give four dense_layers and dense_dims.")
        if not all(0 <= layer < self.depth for layer in self.dense_layers):
            raise ValueError(
                f"dense_layers={self.dense_layers} must lie in 0 … {self.depth - 1} (depth={self.depth})."
            )
        if self.dense_dim % 8:
            raise ValueError(f"dense_dim={self.dense_dim} must be a multiple of 8 (sine positions).")
        check_variants(self)


def check_variants(config: ModelConfig) -> None:
    """Refuse departures from VGGT that make no sense.

    Raises:
        ValueError: an unknown choice, a number out of range, or departures that exclude each other.
    """
    check_choice("attention", config.attention, ("alternating", "global", "cross"))
    check_choice("reference", config.reference, ("first", "none"))
    pairs = config.register_attention
    if len(set(pairs)) < len(pairs) or not all(0 <= pair < config.depth for pair in pairs):
        raise ValueError(
            f"register_attention={pairs} must name different pairs of blocks, 0 … {config.depth - 1} "
            f"(depth={config.depth})."
        )
    if not 0 <= config.merge_tokens < 1:
        raise ValueError(f"merge_tokens={config.merge_tokens} is a share: give 0 (off) up to below 1.")
    if config.attention != "alternating" and (pairs or config.merge_tokens):
        raise ValueError(
            f"attention={config.attention!r} has no global blocks beside frame blocks: register_attention "
            'and merge_tokens need attention="alternating".'
        )
    if config.reference == "none" and config.merge_tokens:
        raise ValueError(
            'merge_tokens keeps all tokens of the first view, but with reference="none" no view is the '
            "first: choose one of the two."
        )
    if config.reference == "none" and "point" in config.heads and "camera" not in config.heads:
        raise ValueError(
            'reference="none" predicts points in each camera\'s own frame; only cameras bring them '
            'together: add "camera" to heads, or leave out "point".'
        )


NANO = ModelConfig()

# Twice as wide as NANO, with the patches of the release: NANO's weights can be grown into it.
TINY = ModelConfig(
    image_size=112, patch_size=14, dim=192, num_heads=8, camera_num_heads=8,
    dense_dims=(48, 64, 96, 96), dense_dim=32,
    track_dim=48, track_fused=32, track_levels=4, track_hidden=96, track_depth=3, track_flow_scale=112.0,
)  # fmt: skip

VGGT_1B = ModelConfig(
    image_size=518, patch_size=14, dim=1024, num_heads=16, vit_depth=24,
    depth=24, layer_scale=0.01, camera_depth=4, camera_num_heads=16,
    dense_layers=(4, 11, 17, 23), dense_dims=(256, 512, 1024, 1024), dense_dim=256,
    track_dim=128, track_fused=128, track_levels=7, track_radius=4, track_hidden=384, track_num_heads=8,
    track_depth=6, track_virtual=64, track_flow_scale=518.0, track_position_embedding=False, pixel_center=0.0,
)  # fmt: skip


LOSS_WEIGHTS = {"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.05}
FORMS = ("code", "paper")  # of the losses: as in the released training code, as in the paper's text


class Weights(dict):
    """Weights by name, that cannot change."""

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def _refuse(self, *args, **kwargs):
        raise TypeError(
            "a configuration cannot change: make another one, for example "
            'config.with_(loss_weights=config.loss_weights | {"depth": 2.0}).'
        )

    __setitem__ = __delitem__ = __ior__ = update = pop = popitem = setdefault = clear = _refuse

    def __reduce__(self):
        return Weights, (dict(self),)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """How a model is trained.

    Fractions refer to all the steps of the run. The weight decay falls on every parameter, and the
    clipping norm on each part of the network by itself, as in the released training code. A new field's
    default means "as before": runs begun without it go on.
    """

    steps: int = 20_000
    seed: int = 0
    # Optimiser: AdamW, linear warm-up, then a cosine down to zero
    learning_rate: float = 5e-4  # at the peak
    warmup: float = 0.05  # fraction
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    clip_norm: float = 1.0  # of the gradient, for each part of the network
    ema_decay: float = 0.999  # of the running average of the weights; 0 keeps none
    # Batches
    views: tuple[int, int] = (2, 4)  # fewest and most views of a scene
    aspects: tuple[float, float] = (1.0, 1.0)  # height ÷ width of images; each batch draws one
    max_images: int = 48  # a batch of n-view scenes holds max_images // n of them
    num_tracks: int = 16  # per scene; none are drawn when "track" has no weight
    curriculum: float = 0.5  # fraction over which views grow from neighbours to the whole path
    augment: float = 1.0  # strength of the changes of colour; 0 = none
    dense_views: int = 0  # of each scene, views that get a depth and a point map in a step; 0 = all
    # Losses
    loss_form: str = "code"  # "code" (as released) or "paper"
    # By the names in `losses.LOSSES`. One left out, or 0, is not computed.
    loss_weights: dict[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    # Memory and safety
    accumulation: int = 1  # parts in which a batch passes through the network; same gradient
    gradient_checkpointing: bool = False
    checkpoint_every: int = 500  # steps
    log_every: int = 20  # steps averaged in one line of the log

    def __post_init__(self) -> None:
        self.check_finite()
        for name in ("steps", "max_images", "num_tracks", "accumulation", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        for name, most in (("steps", 10**9), ("max_images", 10**5), ("num_tracks", 10**5), ("seed", 2**62)):
            if getattr(self, name) > most:
                raise ValueError(f"{name}={getattr(self, name)} must be at most {most}.")
        for name in ("seed", "weight_decay", "augment", "dense_views"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be below 0.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas} must lie in [0, 1), for example (0.9, 0.999).")
        for name in ("learning_rate", "clip_norm"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0, for example 1e-3.")
        for name in ("warmup", "curriculum"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is a fraction of the run: give 0 to 1.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay} must lie in [0, 1), for example 0.999.")
        if len(self.views) != 2 or not 1 <= self.views[0] <= self.views[1]:
            raise ValueError(f"views={self.views} must be (fewest, most), for example (2, 4).")
        if len(self.aspects) != 2 or not 0.2 <= self.aspects[0] <= self.aspects[1] <= 5:
            raise ValueError(f"aspects={self.aspects} must be (lowest, highest) height ÷ width: (0.6, 1.4).")
        if self.max_images < self.views[1]:
            raise ValueError(
                f"max_images={self.max_images} cannot hold one scene of {self.views[1]} views; "
                f"give at least {self.views[1]}."
            )
        check_choice("loss_form", self.loss_form, FORMS)
        if wrong := [name for name, weight in self.loss_weights.items() if not 0 <= weight < inf]:
            raise ValueError(f"loss_weights must be numbers from 0 up; not so: {', '.join(wrong)}.")
        weights = Weights({name: float(weight) for name, weight in self.loss_weights.items() if weight > 0})
        if not weights:
            raise ValueError('every loss weight is 0: nothing would be learned. Try {"camera": 5.0}.')
        object.__setattr__(self, "loss_weights", weights)


SHAPES = ("ellipsoid", "box", "cylinder", "cone", "octahedron")
PATHS = ("orbit", "walk", "forward", "parallel", "dolly", "turn")
TEXTURES = ("rich", "varied", "photographs", "panoramas", "none", "repetitive")
PLACES = ("table", "floating", "ground", "interior")


@dataclass(frozen=True, kw_only=True)
class SceneConfig(Config):
    """What `generate_scenes` draws: a furnished table-top in a room, seen from a camera path.

    The defaults are NANO's domain: orbits and walks round the table with one lens family. Lengths are
    metres, angles degrees (these are what people read); pairs are (lowest, highest).
    """

    places: tuple[str, ...] = ("table",)  # each scene draws one; also "floating", "ground", "interior"
    # Surfaces
    # "rich", "varied" (more kinds of patterns), "photographs" (those and pieces of photographs), "panoramas"
    # (those, and some rooms papered with a panorama), "none" (one grey), "repetitive" (the same checks
    # everywhere)
    texture: str = "rich"
    # "random": any hue anywhere. "landmark": each wall keeps its hue from scene to scene (east red, north
    # green, west blue, south purple), so that a single picture shows its compass direction.
    walls: str = "random"
    shapes: tuple[str, ...] = ("ellipsoid", "box", "cylinder")  # in turn; also "cone", "octahedron"
    num_objects: int = 9  # places on the table, 0 to 12; about one in ten stays empty
    heightfield: bool = False  # put a small landscape of hills among them
    moving_objects: int = 0  # how many of them fly through the air from view to view
    # Camera
    paths: tuple[str, ...] = ("orbit", "walk")  # each scene draws one of these; see PATHS
    start_deg: tuple[float, float] = (-180.0, 180.0)  # where a path starts: 0 south of the table, 90 east
    turn_deg: tuple[float, float] = (8.0, 20.0)  # orbit and walk: turn about the table per view
    fov_deg: tuple[float, float] = (55.0, 65.0)  # field of view of the image's longer side
    zoom: float = 1.0  # largest factor by which single views are zoomed in
    camera_height: tuple[float, float] = (1.1, 1.7)  # above the floor
    camera_distance: tuple[float, float] = (1.45, 2.05)  # from the table's axis, measured along the floor
    gaze_jitter: float = 0.15  # how far the gaze strays from the middle of the table
    roll_deg: float = 4.0  # largest roll, to either side
    # Image
    shadows: bool = False  # one more ray per pixel
    photographic: bool = False  # exposure, white balance, focus, sensor noise and JPEG of every view
    supersample: int = 1  # n² rays per pixel are averaged for the colour (depth keeps its one ray)

    def __post_init__(self) -> None:
        check_choice("texture", self.texture, TEXTURES)
        check_choice("walls", self.walls, ("landmark", "random"))
        for name, given, choices in (
            ("places", self.places, PLACES),
            ("paths", self.paths, PATHS),
            ("shapes", self.shapes, SHAPES),
        ):
            if not given:
                raise ValueError(f"{name}=() leaves nothing to draw; name one, such as {choices[:1]}.")
            for choice in given:
                check_choice(name, choice, choices)
        if not 0 <= self.num_objects <= 12:
            raise ValueError(f"num_objects={self.num_objects}: the table has 12 places; choose 0 to 12.")
        if self.heightfield and self.num_objects > 10:
            raise ValueError(
                f"num_objects={self.num_objects} with heightfield=True: it takes two of the "
                "12 places; choose at most 10."
            )
        if not 0 <= self.moving_objects <= self.num_objects:
            raise ValueError(
                f"moving_objects={self.moving_objects} must lie between 0 and "
                f"num_objects={self.num_objects}: only objects that exist can move."
            )
        if not 1 <= self.supersample <= 8:
            raise ValueError(f"supersample={self.supersample}: choose 1 (off) to 8 (64 rays per pixel).")
        # The ranges keep every camera between the table and the furniture, under the ceiling.
        check_range("start_deg", self.start_deg, -360.0, 360.0)
        check_range("turn_deg", self.turn_deg, -60.0, 60.0)
        check_range("fov_deg", self.fov_deg, 20.0, 120.0)
        check_range("zoom", (1.0, self.zoom), 1.0, 3.0)
        check_range("camera_height", self.camera_height, 0.3, 2.2)
        check_range("camera_distance", self.camera_distance, 1.4, 2.1)
        check_range("gaze_jitter", (0.0, self.gaze_jitter), 0.0, 0.5)
        check_range("roll_deg", (0.0, self.roll_deg), 0.0, 180.0)


# Lenses from tele to wide, more shapes and patterns, hills, something that flies past, all of
# it photographed: what TINY learns from.
VARIED_SCENES = SceneConfig(
    texture="varied", shapes=SHAPES, heightfield=True, moving_objects=1, paths=("orbit", "walk", "forward"),
    turn_deg=(5.0, 25.0),
    fov_deg=(40.0, 80.0), camera_height=(0.9, 2.0), zoom=1.2, gaze_jitter=0.3, roll_deg=15.0,
    photographic=True,
)  # fmt: skip
# The same things in every kind of place, on paths whose steps show, some painted with real photographs.
WIDE_SCENES = VARIED_SCENES.with_(
    texture="photographs", places=PLACES, paths=("orbit", "walk", "parallel", "dolly"), turn_deg=(4.0, 18.0)
)
# To learn from, not to be scored on: some rooms are papered with real panoramas, some cameras only turn.
PAPERED_SCENES = WIDE_SCENES.with_(texture="panoramas", paths=(*WIDE_SCENES.paths, "turn"))
