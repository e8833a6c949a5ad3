"""Images: resizing, cropping, colors, filters, patches, warps. A batch has four axes, one image three."""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.ops.image.color import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from hornbeam.ops.image.elastic import elastic_transform
from hornbeam.ops.image.filters import gaussian_blur, psnr, sobel_edges, ssim
from hornbeam.ops.image.patches import extract_patches, extract_patches_3d
from hornbeam.ops.image.resizing import crop_images, pad_images, resize, scale_and_translate
from hornbeam.ops.image.warping import affine_transform, map_coordinates, perspective_transform

# fmt: off
__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d",
    "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "psnr",
    "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]
# fmt: on


explain_missing(__name__)
