# avatarmake: one talking-head video in, one drivable 3D Gaussian head avatar out.
#
#   VIDEO ── frames ── track ── convert ── mask ── refine ── train ┬── view ── report
#                                                                  ├── drive BY=anna
#                                                                  └── export
#
# A stage is one word. `make train ID=roman` brings in the stages before it; each runs unless it is done, and says so.
# What follows two hashes is the help page, in this order.

# --- the pipeline ----------------------------------------------------------------------------------------------------
PIPELINE = frames track convert mask refine train view report drive export

##The pipeline. Each target brings in those before it:
frames:                 ##cut one fixed square around the head:  make frames ID=roman VIDEO=~/roman.mp4 [FPS=25] [PERSON=left] [TURN=90]
track: frames           ##head model parameters for every frame  [HEAD_MODEL=open] [SHARD=i/N] [REFINE=0] [TRACKER=avatarmake]
convert: track          ##exact cameras, in the files that FlashAvatar reads
mask: convert           ##alpha, neckhead and mouth; FIX=1 audits and repairs what is there  [LABELS=folder]
refine: convert mask    ##cameras once more, against a small avatar of the person  [REFINE=0: as tracked]
train: refine           ##Gaussians on the head, moved by the expression  [DEVICE=cpu] [TRAINER=avatarmake]
view: train             ##one page with the avatar in it, alive: opens anywhere, needs no network
report: view            ##a page with that, the video, the figures, the worst frames
##
##In the place of the first three, data that others have tracked:
import: ready           ##FlashAvatar's, metrical-tracker's, INSTA's, VHAP's:  make import ID=roman FROM=folder [KIND=...] [LINK=1]
	$(call run,imported) $(call given,imported)
ifneq ($(filter import,$(MAKECMDGOALS)),)
frames: import
endif
##
##What an avatar is for:
drive: train driver     ##with another's performance:  make drive ID=roman BY=anna, film.mp4, face.csv, move.npz, tour  [POSE=own]
live: train             ##with a camera, on this machine alone: it does what you do  [OPTIONS="--focal 1.2"]
	@$(HOST) live "$$ID" --data="$$DATA" $(OPTIONS)
export: train           ##for other programs: avatar.npz, and .ply of some expressions

##
##All of it on a subject that it makes itself, no video needed:
demo: report            ##make demo, make demo ENGINE=docker
	@$(HOST) summary demo --data="$$DATA"

# --- what can be set: on the command line, or in the environment ------------------------------------------------------
PYTHON     ?= $(shell command -v python3.11 || echo python3)
DATA       ?= data
DEMO_TRAIN ?= --resolution 256 --iterations 3000
export BY POSE GAIN YAW CAMERA SIZE BACKGROUND LIST STAGES ON AT_ONCE CORES SHARDS CLAIM REGISTRY FROM KIND PACK WITH ONLY
export ID VIDEO FPS PERSON TURN HEAD_MODEL SHARD TRACKER TRAINER DETECTOR LABELS NUMBERING PARSER MATTING DEVICE \
       RASTERISER DATA ASSETS ENGINE IMAGES BASE PYTORCH3D TORCH VERBOSE TO GET ACCEPT

# A path is taken as it is typed: make would eat the $ of VIDEO='a$b.mp4'. What is written for make ($$, $(HOME)) is left
# to it, and so is the environment, which it does not touch.
paren := (
for_make = $(strip $(foreach mark,$$$$ $$$(paren) $${,$(findstring $(mark),$(value $(1)))))
as_typed = $(if $(call for_make,$(1)),$($(1)),$(value $(1)))
$(foreach path,VIDEO BY CAMERA LABELS DATA ASSETS TO FROM PACK PYTORCH3D LIST,\
  $(if $(filter command,$(firstword $(origin $(path)))),\
  $(eval override $(path) := $$(call as_typed,$(path)))))

# How a variable becomes an option. Its value reaches the shell through the environment, so it may hold spaces.
option = $(if $(value $(1)),$(2)="$$$(1)")
options.frames = $(call option,VIDEO,--video) $(call option,FPS,--fps) $(call option,PERSON,--person) \
                 $(call option,TURN,--turn)
options.imported = $(call option,FROM,--source) $(call option,KIND,--kind) $(call option,FPS,--fps) \
                 $(call option,HEAD_MODEL,--head-model) $(if $(LINK),--link)
options.track  = $(call option,HEAD_MODEL,--head-model) $(call option,SHARD,--shard) $(call option,DETECTOR,--detector) \
                 $(if $(filter 0,$(REFINE)),--no-refine) $(if $(filter 1,$(REFINE)),--refine)
options.flame_head_tracker = $(call option,DEVICE,--device)
options.mask   = $(call option,LABELS,--labels) $(call option,NUMBERING,--numbering) $(if $(FIX),--fix) \
                 $(call option,PARSER,--parser) $(call option,MATTING,--matting)
options.refine = $(if $(filter 0,$(REFINE)),--no-refine) $(if $(filter 1,$(REFINE)),--refine)
options.train  = $(call option,DEVICE,--device) $(call option,RASTERISER,--rasteriser)
options.flashavatar = $(call option,DEVICE,--device)
options.drive  = $(call option,BY,--by) $(call option,POSE,--pose) $(call option,GAIN,--gain) $(call option,YAW,--yaw) \
                 $(call option,CAMERA,--camera) $(call option,SIZE,--size) $(call option,BACKGROUND,--background)

# What was just imported takes no options of the stages that make it: HEAD_MODEL and FPS are the import's.
ifneq ($(filter import,$(MAKECMDGOALS)),)
options.frames =
options.track =
endif

##
##Any stage takes more options of its own:  make train ID=roman OPTIONS="--iterations 5000"
help/%: .venv/host/lock ##list them:  make help/train
	@$(HOST) run "$*" --help
# OPTIONS are for the last stage that is named on the command line.
last = $(lastword $(filter $(PIPELINE) imported,$(MAKECMDGOALS:import=imported) $(if $(filter batch,$(MAKECMDGOALS)),$(STAGES))))

# TRACKER=flame-head-tracker is a stage of its own, which writes what `track` writes and takes other options; so is
# TRAINER=flashavatar beside `train`.
of.track = $(if $(filter flame-head-tracker,$(TRACKER)),flame_head_tracker,track)
of.train = $(if $(filter flashavatar,$(TRAINER)),flashavatar,train)

# --- running a stage -------------------------------------------------------------------------------------------------
HOST = .venv/host/bin/python -m avatarmake
run  = @$(HOST) run $(1) "$$ID" --data="$$DATA"

# Of a list of subjects: what is given to make goes for all of them, where their own lines do not say otherwise.
many = $(HOST) batch "$$LIST" --data="$$DATA" $(call option,STAGES,--stages) $(call option,ON,--on) \
       $(call option,AT_ONCE,--at-once) $(call option,CORES,--cores) $(call option,SHARDS,--shards) \
       $(call option,CLAIM,--claim) $(call option,REGISTRY,--registry) $(1) \
       $(foreach stage,$(PIPELINE),then $(stage) $(call given,$(stage)))

given = $(options.$(or $(of.$(1)),$(1))) $(if $(filter $(1),$(last)),$(OPTIONS))

$(PIPELINE): ready
	$(call run,$@) $(call given,$@)
# Before the first stage: what all of them need is made or fetched, and what cannot be had is said.
ready: .venv/host/lock
	@$(HOST) ready "$$ID" --data="$$DATA" $(goals) $(foreach stage,imported $(PIPELINE),then $(stage) $(call given,$(stage)))
goals = $(if $(filter import,$(MAKECMDGOALS)),imported) $(filter $(PIPELINE),$(MAKECMDGOALS)) \
        $(if $(filter live,$(MAKECMDGOALS)),train) $(if $(filter demo,$(MAKECMDGOALS)),report) $(filter demo,$(ID))

ifneq ($(filter demo,$(MAKECMDGOALS)),)
  ifneq ($(filter-out demo,$(ID)),)
    $(error `make demo` is a subject of its own. Type: make demo, or: make report ID=$(ID))
  endif
  override ID = demo
  options.train += $(DEMO_TRAIN)
  options.flashavatar += $(DEMO_TRAIN)
endif
ifeq ($(ID),demo)
frames: source
endif
source: ready
	$(call run,demo) $(if $(filter source,$(MAKECMDGOALS)),$(OPTIONS))

# Who drives by a video is tracked first, as a subject that is named after the file.
driver: ready
	@case "$$BY" in *.[mM][pP]4|*.[mM]4[vV]|*.[mM][oO][vV]|*.[mM][kK][vV]|*.[wW][eE][bB][mM]|*.[aA][vV][iI]) \
	  name="$$(basename "$${BY%.*}" | LC_ALL=C tr -c 'A-Za-z0-9_.\n-' - | sed 's/^[^A-Za-z0-9]*//')"; \
	  $(MAKE) --no-print-directory track ID="$$name" VIDEO="$$BY" OPTIONS= ;; esac

ifeq ($(ID),)
  ifneq ($(filter $(PIPELINE) import live $(if $(LIST),,status) flashavatar-tree pack,$(MAKECMDGOALS)),)
    $(error Which subject? Type: make $(MAKECMDGOALS) ID=roman)
  endif
endif
ifeq ($(PACK),)
  ifneq ($(filter reproduce,$(MAKECMDGOALS)),)
    $(error Which pack? Type: make reproduce PACK=roman.avatarmake.tar.zst)
  endif
endif

##
##Many subjects, one a line of a CSV: id, video, options. ON this machine, or SLURM or Kubernetes:
batch: .venv/host/lock  ##make batch LIST=subjects.csv [STAGES="track convert train report"] [ON=slurm, or k8s] [AT_ONCE=4]
	@$(call many,)

##
##Seeing where things are:
status: .venv/host/lock ##every stage of a subject, or of all of a list:  make status ID=roman, LIST=subjects.csv [ON=slurm]
	@$(if $(LIST),$(call many,--show),$(HOST) status "$$ID" --data="$$DATA")
doctor: .venv/host/lock ##what this host can do, and what to do about what is missing
	@$(HOST) doctor
verify: .venv/host/lock ##does this host make the same avatar? a small demo on every engine and device, held to a reference
	@$(HOST) verify --data="$$DATA"

##
##On another host:
pack: .venv/host/lock   ##a subject as one file that says how it was made  [WITH=video,frames,avatar] [DIFF=1] [TO=folder]
	@$(HOST) pack "$$ID" --data="$$DATA" $(call option,WITH,--with) $(call option,TO,--to) $(if $(DIFF),--diff)
reproduce: .venv/host/lock ##run what a pack says and compare:  make reproduce PACK=file [VIDEO=...] [REGISTRY=...] [ANYWAY=1]
	@$(HOST) reproduce "$$PACK" --data="$$DATA" $(call option,VIDEO,--video) $(call option,LABELS,--labels) \
	  $(call option,REGISTRY,--registry) $(if $(ANYWAY),--anyway) $(filter --force,$(OPTIONS))

##
##What others made. Nothing of theirs is in this repository or in an image:
assets: .venv/host/lock ##weights: what is there, what is missing; fetch:  make assets GET="deca mica" [ACCEPT=deca,mica]
	@$(HOST) assets $(if $(GET),--get $$GET) $(if $(ACCEPT),--accept "$$ACCEPT")
patches: .venv/host/lock ##every patch to an upstream project, tried on your checkout of it
	@$(HOST) patches
flashavatar-tree: .venv/host/lock ##what FlashAvatar's own train.py reads:  make flashavatar-tree ID=roman [TO=folder] [COPY=1]
	@$(HOST) flashavatar-tree "$$ID" --data="$$DATA" $(call option,TO,--to) $(if $(COPY),--copy)

##
##Images. ENGINE=auto|docker|podman|apptainer|local says where stages run; auto takes Docker once the images are there:
every_image = image/demo $(PIPELINE:%=image/%) image/flame_head_tracker image/flashavatar image/live image/imported
images: $(every_image) ##build what has changed of all images, and list their sizes  [TORCH=cuda13, for a GPU elsewhere]
	@$(HOST) images
image/%: .venv/host/lock ##build one stage's image:  make image/convert  [PYTORCH3D=folder, for flame_head_tracker's]
	@$(HOST) build "$*"
push: .venv/host/lock   ##all images, or ONLY="frames track", to a registry, by digest:  make push REGISTRY=host:5000/me
	@$(HOST) push $(ONLY) --registry="$$REGISTRY"
pull: .venv/host/lock   ##from a registry, so that nothing has to be built here  REGISTRY=host:5000/me [ONLY=...]
	@$(HOST) pull $(ONLY) --registry="$$REGISTRY"
save: .venv/host/lock   ##as files, where no registry can be reached:  make save TO=folder [ONLY=...]
	@$(HOST) save $(ONLY) $(call option,TO,--to)
load: .venv/host/lock   ##make load FROM=folder [ONLY=...]
	@$(HOST) load $(ONLY) $(call option,FROM,--from)
base: .venv/host/lock   ##a base image from Debian's archive, where no registry of images can be reached
	@$(HOST) base

##
##For those who change it:
test: .venv/test/lock.sha256 ##every test that needs no Docker and no GPU, and those that find them
	@.venv/test/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore=tests/images \
	  --ignore=tests/batch/slurm $(OPTIONS)
test-numbers: .venv/test/lock.sha256 ##the tests that compare numbers, as on processors with other instructions
	@.venv/test/bin/python -m tests.processors $(OPTIONS)
test-fresh: .venv/test/lock.sha256 ##`make demo` and `make test` as on a machine that has nothing and where nothing is set
	@.venv/test/bin/python -m tests.fresh_machine
test-cuda: .venv/test/lock.sha256 ##the CUDA kernels without a GPU: their code for every architecture, and in the simulator
	@.venv/test/bin/python -m bench.cuda_code
	@NUMBA_ENABLE_CUDASIM=1 .venv/test/bin/python -m pytest -q tests/train/cuda/simulated.py $(OPTIONS)
test-images: images .venv/test/lock.sha256 ##the tests of the images, inside them
	@.venv/test/bin/python -m pytest tests/images $(OPTIONS)
test-slurm: .venv/test/lock.sha256 ##a batch on a real SLURM of one node, where its packages are: apt-get install slurm-wlm
	@.venv/test/bin/python -m pytest tests/batch/slurm $(OPTIONS)
lint: .venv/test/lock.sha256 ##ruff: style, imports, format of every line
	@.venv/test/bin/python -m ruff check .
bench: .venv/test/lock.sha256 ##our trainer and tracker beside FlashAvatar's and flame-head-tracker's: half an hour, checkouts of both
	@.venv/test/bin/python -m bench.flashavatar $(OPTIONS)
	@.venv/test/bin/python -m bench.trackers
lock: .venv/host/lock   ##resolve every requirements.in anew into its requirements.lock
	@$(HOST) lock
clean:                  ##remove the environments; data/ and assets/ stay
	rm -rf .venv .pytest_cache .ruff_cache

# --- environments: the host's by a Python 3.11, fetched where there is none; the others by what that brings ------------
.venv/host/lock: requirements.lock
	@sh avatarmake/environments/host.sh "$(PYTHON)"
.venv/test/lock.sha256: tests/requirements.lock .venv/host/lock
	@$(HOST) environment test >/dev/null && touch $@

# --- help, and what is no target -------------------------------------------------------------------------------------
help:
	@sed -nE 's/^##(.*)/\1/p; s/^([a-z%\/-]+):[^#]*##(.*)/  make \1|\2/p' Makefile | awk -F'|' \
	 'NF == 2 {sub("%", "<stage>"); printf "%-24s %s\n", $$1, $$2; next} {print}'
.DEFAULT:
	@echo "There is no target '$@'. Type: make (it lists them)" >&2; exit 2

.DEFAULT_GOAL := help
.PHONY: help demo import live source driver ready $(PIPELINE) batch status doctor verify assets patches flashavatar-tree
.PHONY: images base pack reproduce push pull save load test test-numbers test-fresh test-cuda test-images test-slurm lint
.PHONY: bench lock clean
.DELETE_ON_ERROR:
