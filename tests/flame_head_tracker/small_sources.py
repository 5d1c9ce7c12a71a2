"""Sources of our own with the constructs that the rules look for, and as little else as possible."""

TRACKER_BASE = """
import os
import numpy as np
import torch
import face_alignment
from submodules.flame_lib.FLAME import FLAME, FLAMETex
import submodules.flame_fitting.fitting_util as fitting_util
from submodules.flame_fitting.renderer import Renderer
from submodules.face_parsing.FaceParsingUtil import FaceParsing
from utils.deca_inference_utils import create_deca_model
from utils.mica_inference_utils import create_mica_model
from utils.mp2dlib import convert_landmarks_mediapipe_to_dlib
from utils.general_utils import check_nan_in_dict, prepare_batch_visualized_results
import utils.o3d_utils as o3d_utils
from utils.matting_utils import load_matting_model


class Tracker:
    def __init__(self, tracker_cfg):
        flame_cfg = {
            'flame_model_path': tracker_cfg.get('flame_model_path'),
            'tex_space_path': tracker_cfg['textures'],
            'tex_type': 'BFM',
            'cropped_size': 256,
        }
        self.device = tracker_cfg.get('device')
        self.flame_cfg = fitting_util.dict2obj({**flame_cfg})
        self.set_landmark_detector('hybrid')
        if 'ears' in tracker_cfg:
            self.ears = torch.load(tracker_cfg['ears']).eval()
        self.fa = face_alignment.FaceAlignment('anything', flip=True)
        self.face_parser = FaceParsing(model_path=tracker_cfg['parser'])
        self.use_matting = bool('use_matting' in tracker_cfg)
        self.matting = self.use_matting and load_matting_model(device=self.device)
        self.flame = FLAME(self.flame_cfg)
        self.flametex = FLAMETex(self.flame_cfg)
        self.flame_texture_render = Renderer(256, obj_filename=tracker_cfg['mesh'])
        _, self.faces, self.uv_coords, _ = o3d_utils.read(tracker_cfg['mesh'], uv=True)
        self.uv_coords = np.array(self.uv_coords)
        self.mesh_faces = torch.from_numpy(self.faces)
        self.one = create_deca_model(self.device)
        self.other = create_mica_model(self.device)

    def set_landmark_detector(self, landmark_detector='hybrid'):
        assert landmark_detector in ['mediapipe', 'FAN', 'hybrid']
        self.landmark_detector = str(landmark_detector)

    def fan_face_landmarks(self, img):
        return self.fa.get_landmarks(img)

    @torch.no_grad()
    def run_reconstruction_models(self, img, lmks_68):
        return self.one(img), self.other(img, lmks_68)

    @torch.no_grad()
    def prepare_intermediate_data_from_image(self, img, realign=True):
        first = self.detect(img)
        second = self.detect(img)
        return first, second, self.face_parser.run(img)

    def run(self, img, photometric_fitting=False):
        in_dict = self.prepare_intermediate_data_from_image(img)
        if photometric_fitting:
            ret_dict = self.run_fitting_photometric(in_dict=in_dict)
        else:
            # landmarks
            ret_dict = self.run_fitting(in_dict=in_dict, smooth=True)
        ret_dict['img'] = in_dict.get('img')
        ret_dict['img_aligned'] = in_dict.get('img_aligned')
        ret_dict['parsing'] = in_dict.get('parsing')
        ret_dict['parsing_aligned'] = in_dict.get('parsing_aligned')
        return ret_dict

    def run_rigid(self):
        steps = []
        total_iterations = 1500
        for iter in range(0, total_iterations):
            if iter == 1000:
                steps.append(('slower', iter))
            if iter > 600:
                steps.append(('smooth', iter))
        return steps

    def run_fitting(self, in_dict, smooth):
        rate = 1.0
        rates = []
        for iter in range(200):
            if iter == 100:
                rate = 0.5
            rates.append(rate)
        landmarks_2d_screen = 'places'
        rendered_mesh_shape_img, rendered_mesh_shape = \\
            prepare_batch_visualized_results(self.faces, in_dict)
        return {
            'rates': rates,
            'img_rendered': rendered_mesh_shape_img,   # [N,256,256,3]
            'shape_rendered': rendered_mesh_shape,     # [N,256,256,3]
        }

    def run_fitting_photometric(self, in_dict):
        for iter in range(200):
            if iter == 100:
                pass
        return {'img_rendered': self.flametex(in_dict), 'shape_rendered': None}
"""

MATTING = '''
import numpy as np
import torch
from tqdm import tqdm


def load_matting_model(device='cuda'):
    return torch.hub.load("somebody/Matting", "resnet50").to(device).eval()


@torch.no_grad()
def matting_video_frames(video_matting_model, frames):
    """All of them."""
    frames_with_matting = []
    for i in tqdm(range(len(frames)), 'matting'):
        img = frames[i]
        frames_with_matting.append(video_matting_model(img))
    return frames_with_matting
'''

GENERAL = """
import numpy as np
import torch
from pytorch3d.renderer import (
    MeshRenderer, PointLights
)
from pytorch3d.structures import Meshes
from pytorch3d.renderer import TexturesVertex


def check_nan_in_dict(values):
    return {}, False


@torch.no_grad()
def render_geometry(vertices):
    return MeshRenderer(Meshes(vertices))


@torch.no_grad()
def prepare_batch_visualized_results(vertices):
    return render_geometry(vertices)
"""

IMAGE = """
import PIL.Image


def smaller(image, twice=False):
    image = image.resize((8, 8), PIL.Image.ANTIALIAS)
    return image.resize((4, 4), PIL.Image.ANTIALIAS) if twice else image
"""

INSIGHTFACE = """
import numpy as np
from skimage import transform as trans

arcface_dst = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 70.0], [35.0, 90.0], [65.0, 90.0]], dtype=np.float32)


def estimate_norm(lmk, image_size=112, mode='arcface'):
    found = trans.SimilarityTransform()
    found.estimate(lmk, arcface_dst)
    return found.params[0:2, :]
"""

RESNET = """
import torchvision


def copy_parameter_from_resnet(model, state):
    model.update(state)


def load_ResNet50Model():
    model = {}
    copy_parameter_from_resnet(model, torchvision.models.resnet50(pretrained=False).state_dict())
    return model


def load_ResNet101Model():
    model = {}
    copy_parameter_from_resnet(model, torchvision.models.resnet101(pretrained=True).state_dict())
    return model
"""

ARCFACE = """
import torch


class Arcface:
    def __init__(self, path=None, fp16=False):
        self.fp16 = fp16
        if path is not None:
            self.state = torch.load(path)

    def one(self, x):
        with torch.cuda.amp.autocast(bool(self.fp16)):
            return x + 1

    def other(self, x):
        with torch.cuda.amp.autocast(bool(self.fp16)):
            return x - 1
"""

FLAME = """
import pickle
import numpy as np


class FLAME:
    def __init__(self, config):
        with open(config.flame_model_path, mode='rb') as file:
            self.model = pickle.load(file, encoding='latin1')
        path = config.flame_lmk_embedding_path
        lmk_embeddings = np.load(path, allow_pickle=True, encoding='latin1')
        self.embedding = lmk_embeddings[()]


class FLAMETex:
    pass
"""

FILES = {
    "tracker_base.py": TRACKER_BASE,
    "utils/matting_utils.py": MATTING,
    "utils/general_utils.py": GENERAL,
    "utils/image_utils.py": IMAGE,
    "utils/insightface_utils.py": INSIGHTFACE,
    "utils/mp2dlib.py": "def convert_landmarks_mediapipe_to_dlib(landmarks):\n    return landmarks[:68]\n",
    "submodules/__init__.py": "",
    "submodules/flame_lib/__init__.py": "",
    "submodules/flame_lib/FLAME.py": FLAME,
    "submodules/decalib/models/resnet.py": RESNET,
    "submodules/MICA/models/arcface.py": ARCFACE,
    "submodules/flame_fitting/fitting_util.py": IMAGE,
}
