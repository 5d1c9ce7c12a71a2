"""What the classic builder says of the images that it leaves: words as it prints them."""

from avatarmake.engine.builder import Ends

SAID = """\
Step 1/9 : ARG BASE=python
Step 2/9 : FROM ${BASE} AS build
 ---> aaaaaaaaaaaa
Step 3/9 : COPY wheels /wheels
 ---> Using cache
 ---> 111111111111
Step 4/9 : RUN pip install
 ---> Running in cccccccccccc
 ---> not an id
Removing intermediate container cccccccccccc
 ---> 222222222222
Step 5/9 : FROM ${BASE} AS environment
 ---> aaaaaaaaaaaa
Step 6/9 : COPY --from=build /opt/venv /opt/venv
 ---> 333333333333
Step 7/9 : LABEL x=y
 ---> 444444444444
Successfully built 444444444444
"""


def made(lines: list[str]) -> list[str]:
    ends = Ends()
    for line in lines:
        ends.look(line + "\n")
    return ends.made


def test_the_last_image_of_every_part_and_never_what_it_stands_on():
    assert made(SAID.splitlines()) == ["222222222222", "444444444444"]


def test_a_build_that_stopped_has_what_it_came_to():
    lines = SAID.splitlines()
    assert made(lines[:3]) == [] and made(lines[:9]) == ["111111111111"] and made(lines[:13]) == ["222222222222"]


def test_another_builder_s_words_name_nothing():
    assert made(["STEP 1/2: FROM python", "--> 111111111111", "COMMIT x"]) == []
