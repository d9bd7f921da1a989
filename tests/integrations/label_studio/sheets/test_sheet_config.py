"""The labelling config of contact sheets, and what their reviewers are asked to do."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from sparsedet.integrations.label_studio.labelling_config.label_config import (
    LabelConfig,
    parse_config,
)
from sparsedet.integrations.label_studio.sheets.sheet_config import sheet_instruction, sheet_xml


def with_keys(keys: str) -> LabelConfig:
    return parse_config(
        f"""<View><Image name="image" value="$image"/>
        <RectangleLabels name="label" toName="image">
        <Label value="nut" hotkey="{keys}"/><Label value="bolt"/>
        </RectangleLabels></View>""",
        "7",
    )


def key_of(config: LabelConfig, label: str) -> str | None:
    labels = {tag.get("value"): tag for tag in ElementTree.fromstring(sheet_xml(config)).iter()}
    return labels[label].get("hotkey")


@pytest.mark.parametrize(
    ("keys", "unsure"), [("1", "n"), ("n", "c"), ("N", "c"), ("m,n", "c"), ("n,c", "x")]
)
def test_the_instruction_names_a_key_that_no_class_has(keys: str, unsure: str) -> None:
    config = with_keys(keys)
    assert key_of(config, "nut") == keys
    assert key_of(config, "see the whole image") == unsure
    assert f"press <kbd>{unsure}</kbd> (<b>see the whole image</b>)" in sheet_instruction(config)


def test_without_a_free_key_the_instruction_names_none() -> None:
    config = with_keys("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z")
    assert key_of(config, "see the whole image") is None
    said = sheet_instruction(config)
    assert "choose <b>see the whole image</b>" in said
    assert re.findall("<kbd>(.*?)</kbd>", said) == ["Backspace", "Ctrl+Enter"]
