"""mitake.txt, example by example: see `page`."""

from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from tests.daemon.conftest import MakeHouse
from tests.daemon.house import SECRET, TO, Toml
from tests.daemon.page import Page, open_page, query_of, see, usable
from tests.daemon.site import path_of


def mitake(**more: Any) -> Toml:
    return {"plugin": "mitake", "username": "YOUR_USERNAME", "password": SECRET, "url": "http://a", **more}


MITAKE_SENT = "[1]\r\nmsgid=0939137671\r\nstatuscode=1\r\nAccountPoint=96\r\n"
MITAKE_LIST = "[1]\r\nmsgid=0939137671\r\nstatuscode=1\r\n[2]\r\nmsgid=0939138467\r\nstatuscode=1\r\nAccountPoint=96\r\n"
MITAKE_WRONG = "statuscode=e\r\nError=帳號、密碼錯誤\r\n".encode("big5")
MITAKE_STATUS = "0939137671\t4\t20160808153248\r\n"


async def test_mitake_send_message_and_get_message_status(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "Send Message": [{"msgid"=>"0939137671", "statuscode"=>"1"}, …, {"AccountPoint"=>"96"}]; "Get Message Status"."""
    page = Page(MITAKE_SENT, MITAKE_STATUS, balance="AccountPoint=100\r\n")
    site = await open_page(make_house, tmp_path, mitake(query=["1m"]), page)
    assert usable(site.house, "points") == 100_000_000
    id_ = await site.house.take(text="YOUR_MESSAGE 您好")
    reply = await see(site.house, id_, "sent")
    assert (reply["attempts"][0]["provider_refs"], reply["attempts"][0]["code"]) == (["0939137671"], "1")
    assert usable(site.house, "points") == 96_000_000
    sent = query_of(page.asked[0])
    url = sent.pop("response")
    assert sent == {
        "username": "YOUR_USERNAME", "password": SECRET, "encoding": "UTF8", "dstaddr": "0912345678", "smbody": "YOUR_MESSAGE 您好",
    }  # fmt: skip
    assert (page.asked[0].method, page.asked[0].path, "?" in url) == ("GET", "/SmSendGet.asp", False)  # it is going to write one
    reply = await see(site.house, id_, "delivered")
    asked = query_of(page.asked[1])
    assert (page.asked[1].path, asked["msgid"], asked["encoding"]) == ("/SmQueryGet.asp", "0939137671", "UTF8")
    assert reply["events"][-1]["code"] == "4"


async def test_mitake_several_numbers(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """`send_sms(numbers: [DEST_MOBILE1, DEST_MOBILE2, …])`, and the status of several ids."""
    page = Page(MITAKE_LIST, "0939138467\t6\t20160808153248\r\n" + MITAKE_STATUS, balance="AccountPoint=98\r\n")
    site = await open_page(make_house, tmp_path, mitake(query=["1m"], batch=2), page)
    await site.house.order("pause", name="a")
    ids = [await site.house.take(to=to, text="hi") for to in (TO, "+886912345679")]
    await site.house.order("resume", name="a")
    for id_ in ids:
        await see(site.house, id_, "sent")
    head, *lines = page.asked[0].body.decode().split("\r\n")
    assert (page.asked[0].path, head, [line for line in lines if line[:4] in ("dsta", "smbo", "[1]")]) == (
        "/SmSendPost.asp", "[0]", ["dstaddr=0912345678", "smbody=hi", "[1]", "dstaddr=0912345679", "smbody=hi"],
    )  # fmt: skip
    ends = [(await see(site.house, id_, "delivered", "undelivered"))["message"]["status"] for id_ in ids]
    assert (ends, query_of(page.asked[1])["msgid"]) == (["delivered", "undelivered"], "0939137671,0939138467")


async def test_mitake_account_and_password_error(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "# or": {"statuscode"=>"e", "Error"=>"帳號、密碼錯誤"}."""
    site = await open_page(make_house, tmp_path, mitake(), Page(MITAKE_WRONG, balance="AccountPoint=1\r\n"))
    id_ = await site.house.take()
    reply = await see(site.house, id_, "held", within=1)
    assert reply["message"]["detail"] == "misconfigured"
    assert [(each["class"], each["code"]) for each in reply["attempts"]] == [("misconfigured", "e")]


async def test_mitake_long_message(make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path) -> None:
    """ "for message more then 70 characters"."""
    page = Page("[1]\r\nmsgid=#021BCAE83\r\nstatuscode=1\r\nAccountPoint=96\r\n", MITAKE_SENT, balance="AccountPoint=1\r\n")
    site = await open_page(make_house, tmp_path, mitake(), page)
    for count in (71, 70):
        await see(site.house, await site.house.take(text="x" * count), "sent")
    assert [request.path for request in page.asked] == ["/SpLmGet", "/SmSendGet.asp"]


CALLBACK = "msgid={}&dstaddr=0912345678&dlvtime=20160808153240&donetime=20160808153248&statusstr={}&statuscode={}&StatusFlag={}"
FATES = [  # the table "statusstr"; "statuscode 0 or 1 means sent successfully. If sending fails, there will be no state return"
    ("DELIVRD", "0", "4", "delivered"), ("DELIVRD", "1", "4", "delivered"), ("EXPIRED", "", "8", "expired"),
    ("DELETED", "", "9", "canceled"), ("UNDELIV", "", "6", "undelivered"), ("UNDELIV", "", "7", "undelivered"),
    ("SYNTAXE", "", "5", "undelivered"), ("REJECTD", "", "", "undelivered"), ("ACCEPTD", "0", "1", "sent"), ("UNKNOWN", "", "", "sent"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "code", "flag", "status"), FATES)
async def test_mitake_calls_back(
    word: str, code: str, flag: str, status: str, make_house: MakeHouse, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """ "then your response must be magicid=sms_gateway_rpack[LF]msgid=MsgId[LF]"."""
    page = Page(MITAKE_SENT, "", balance="AccountPoint=1\r\n")
    site = await open_page(make_house, tmp_path, mitake(query=["1h"]), page)
    id_ = await site.house.take()
    await see(site.house, id_, "sent")
    call = f"{path_of(query_of(page.asked[0])['response'])}?{CALLBACK.format('0939137671', word, code, flag)}"
    for _ in range(2):
        said = await site.call(call)
        assert (said.status, said.headers["content-type"]) == (200, "text/plain")
        assert said.body == b"magicid=sms_gateway_rpack\nmsgid=0939137671\n"
    assert site.house.find(id_) == status
