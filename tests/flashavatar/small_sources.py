"""Sources of our own with the constructs that the rules look for, and as little else as possible."""

SCENE = """
import torch
from scene.cameras import Camera


def first_number(path):
    return float(torch.load(path)["opencv"]["R"][0].transpose()[0, 0])
"""

CAMERAS = """
import torch


class Camera:
    def __init__(self, device):
        self.data_device = torch.device(device)
        self.matrix = torch.eye(4).transpose(0, 1).cuda()
        self.other = (torch.eye(4) + 1).cuda()


def elsewhere(tensor):
    return tensor.cuda()
"""

GAUSSIANS = """
import torch
from plyfile import PlyData, PlyElement
from simple_knn._C import distCUDA2


class GaussianModel:
    def create_from_verts(self, points):
        self.colours = torch.zeros(len(points), 3).float().cuda()
        self.apart = distCUDA2(points)
        self.turns = torch.zeros((len(points), 4), device="cuda")
        self.opacity = 0.1 * torch.ones((len(points), 1), device="cuda")
        self.radii = torch.zeros(len(points), device="cuda")
        self.get_xyz = points

    def training_setup(self):
        self.sums = torch.zeros(len(self.get_xyz), device="cuda")
        self.counts = torch.zeros(len(self.get_xyz), device="cuda")

    def load_ply(self, path):
        return torch.tensor(PlyData.read(path), device="cuda")
"""

GENERAL = """
import torch
from pytorch3d.structures import Meshes
from pytorch3d.renderer.mesh import rasterize_meshes


def product(a, b):
    return torch.cross(a, b)


def picture(vertices, faces, size):
    return rasterize_meshes(Meshes(verts=vertices, faces=faces), image_size=size, blur_radius=0.0)


def load_binary_pickle(path):
    return None
"""

HARMONICS = """
def eval_sh(degree, harmonics, towards):
    flat = 0.25 * harmonics[..., 0]
    return flat if degree == 0 else flat + 0.5 * towards[..., 2:3] * harmonics[..., 2]
"""

RENDERER = """
import torch
from diff_gaussian_rasterization import GaussianRasterizationSettings, GaussianRasterizer


def render(pc):
    return torch.zeros_like(pc.get_xyz, device="cuda"), GaussianRasterizer
"""

LBS = """
from pytorch3d.transforms import rotation_6d_to_matrix


def turned(rows, points):
    return points @ rotation_6d_to_matrix(rows).transpose(1, 2)
"""

FLAME = """
import os
import pickle
import numpy as np
import torch
from pytorch3d.transforms import rotation_6d_to_matrix, matrix_to_rotation_6d
from skimage.io import imread
from loguru import logger

from flame.lbs import turned

STILL = matrix_to_rotation_6d(torch.eye(3)[None].cuda())


class FLAME_mica(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        logger.info("a greeting")
        with open(config.flame_geom_path, 'rb') as file:
            self.model = pickle.load(file, encoding='latin1')
        self.register_buffer('v_template', torch.zeros(5, 3))
        place = os.path.dirname(os.path.abspath(__file__))
        self.register_buffer('l_eyelid', torch.from_numpy(np.load(f'{place}/blendshapes/l_eyelid.npy')))
        self.register_buffer('r_eyelid', torch.from_numpy(np.load(f'{place}/blendshapes/r_eyelid.npy')))
        spots = np.load('flame/mediapipe/somewhere.npz', allow_pickle=True, encoding='latin1')
        place = config.flame_lmk_path
        lmk_embeddings = np.load(place, allow_pickle=True, encoding='latin1')
        self.spots = (spots, lmk_embeddings[()])

    def forward(self, points):
        still = matrix_to_rotation_6d(torch.stack([torch.eye(3)] * 1).cuda())
        return turned(still, points) + torch.zeros(1, 3).cuda()

    def forward_geo(self, points):
        still = matrix_to_rotation_6d(torch.stack([torch.eye(3)] * 1).cuda())
        return turned(still, points) + torch.zeros(1, 3).cuda()


class FLAMETex:
    def __init__(self, path):
        self.texture = torch.from_numpy(imread(path)).cuda()
"""

DEFORMATION = """
import pickle
import torch
from pytorch3d.io import load_obj
from utils.general_utils import load_binary_pickle


class Deform_Model:
    def __init__(self):
        _, self.faces, self.uv = load_obj('flame/FlameMesh.obj', load_textures=False)
        where = "flame/FLAME_masks/FLAME_masks.pkl"
        self.boundary = load_binary_pickle(where)['boundary']
"""

TRAIN = """
import argparse
import torch
import lpips

args = argparse.Namespace()
args.device = "cuda"
seen = lpips.LPIPS(net='vgg').to(args.device)
"""

TEST = """
import argparse
import torch

args = argparse.Namespace()
args.device = "cuda"
"""

FILES = {
    "scene/__init__.py": SCENE,
    "scene/cameras.py": CAMERAS,
    "scene/gaussian_model.py": GAUSSIANS,
    "utils/general_utils.py": GENERAL,
    "utils/sh_utils.py": HARMONICS,
    "gaussian_renderer/__init__.py": RENDERER,
    "flame/__init__.py": "from .flame_mica import FLAME_mica\nfrom .mica_flame_config import parse_args\n",
    "flame/lbs.py": LBS,
    "flame/flame_mica.py": FLAME,
    "src/deform_model.py": DEFORMATION,
    "train.py": TRAIN,
    "test.py": TEST,
}
