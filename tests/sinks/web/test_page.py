"""The page in a real Chromium: ten thousand clusters, by pointer, by keys, for a screen reader, and under attack."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.parts.chromium import Chromium, Page
from tests.parts.guard import Guard
from tests.parts.waiting import until
from tests.sinks.web import facts
from tests.sinks.web.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.parts

CLUSTERS = 10_000
IS_PICTURED = "performance.getEntriesByName('abdrift-first-picture').length"
PIXEL = """(async () => {
  const { map, fleet } = await import("/app.js");
  const cell = fleet.byName.get("%s");
  const { card, x, y } = map.places.get(cell.number);
  card.list.scrollIntoView({ block: "center" });
  while (!card.isNear) await new Promise(requestAnimationFrame);
  const at = [x + map.pitch * 0.12, y + map.pitch * 0.45].map((each) => Math.round(each * map.ratio));
  return [...card.context.getImageData(...at, 1, 1).data].join(" ");
})()"""
"""A cell's own colour: left of the middle, where neither cross nor diamond is."""
CUT_OFF = """[...document.querySelectorAll(".summary")]
  .filter((each) => each.scrollWidth > each.clientWidth || !each.textContent.includes("off course"))
  .map((each) => each.textContent)"""
PLACE = """(async () => {
  const { map, fleet } = await import("/app.js");
  const { card, x, y } = map.places.get(fleet.byName.get("%s").number);
  card.list.scrollIntoView({ block: "center" });
  const box = card.list.getBoundingClientRect();
  return [box.left + x + map.pitch / 2, box.top + y + map.pitch / 2];
})()"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    guard = Guard()
    browser = Chromium(tmp_path_factory.mktemp("chromium"), guard)
    browser.part.start()
    yield browser
    browser.part.stop()
    guard.close()


@asynccontextmanager
async def opened(chromium: Chromium, world: World, fragment: str = "") -> AsyncIterator[Page]:
    """Open the page on a world, and wait until it shows all clusters."""
    async with world.served() as server, chromium.page() as page:
        await page.shape(1440, 900)
        await page.go(server.url + fragment)
        await page.until(IS_PICTURED, "the first picture")
        yield page


@pytest.fixture(scope="module")
def large() -> World:
    world = World()
    world.tell(facts.fleet(CLUSTERS))
    return world


@pytest.fixture
def small() -> World:
    world = World()
    world.tell(facts.fleet(50))
    return world


async def text(page: Page, selector: str) -> str:
    return str(await page.js(f"document.querySelector({selector!r}).innerText"))


async def test_ten_thousand_clusters_are_drawn_grouped_and_counted(chromium: Chromium, large: World) -> None:
    async with opened(chromium, large) as page:
        drawn = await page.js(
            """(async () => {
              const { map, fleet } = await import("/app.js");
              const named = map.cards.map((card) => card.element.querySelector("h3").textContent);
              return { placed: map.places.size, known: fleet.cells.size, named, pitch: map.pitch };
            })()"""
        )
        assert (drawn["placed"], drawn["known"]) == (CLUSTERS, CLUSTERS)
        assert drawn["named"] == sorted(facts.REGIONS)
        assert drawn["pitch"] >= 8
        assert await page.js(CUT_OFF) == [], "what a region says of its clusters has room"
        healthy, failing, unknown = [await page.js(PIXEL % f"edge-{n:05}") for n in (1, 101, 17)]
        assert len({healthy, failing, unknown}) == 3, "each status has its colour"
        assert await page.until(
            "document.querySelector('#headline').textContent.includes('of 10,000 clusters healthy')", "the headline"
        )
        incident = await text(page, "#incidents-list")
        assert "80" in incident
        for word in ("main@9f3c2b7", "Jo Fremd", "cart: take the image from the new registry"):
            assert word in incident


async def test_a_click_shows_the_clusters_story_and_escape_goes_back(chromium: Chromium, large: World) -> None:
    async with opened(chromium, large) as page:
        await page.click(*await page.js(PLACE % "edge-00040"))
        await page.until("document.querySelectorAll('.finding').length >= 2", "the panel's findings")
        assert await text(page, "#panel-title") == "edge-00040"
        diff = await text(page, ".finding .diff")
        for word in (
            "spec.template.spec.containers[0].image",
            "registry.example/shop/checkout:1.14.2-debug",
            "kubectl-edit (Update)",
            'metadata.annotations["team.example/owner"]',
        ):
            assert word in diff
        assert "corrected" in await text(page, ".timeline")
        assert await page.js("document.activeElement.id") == "panel-title"
        assert await page.js("location.hash") == "#cluster=edge-00040"
        await page.press("Escape")
        assert await page.js("document.querySelector('#panel').hidden")
        assert await page.js("document.activeElement.getAttribute('role')") == "listbox"


async def test_everything_is_reached_by_keys(chromium: Chromium, large: World) -> None:
    focused = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).ariaLabel"
    async with opened(chromium, large) as page:
        await page.js("document.querySelector('#as-table').focus()")
        await page.press("Tab")
        assert await page.js("document.activeElement.getAttribute('role')") == "listbox"
        assert await page.js("document.querySelectorAll('[role=listbox][tabindex=\"0\"]').length") == 1
        names = [(await page.js(focused)).split(", ")[:4]]
        for key in ("ArrowRight", "ArrowDown", "PageDown", "End", "ArrowRight", "Home", "n"):
            await page.press(key)
            names.append((await page.js(focused)).split(", ")[:4])
        assert len({name[0] for name in names[:6]}) == 6, names
        assert names[4][2] == "region eu-central"
        assert names[5][2] == "region eu-north", "beyond the last of a region lies the first of the next"
        assert names[7][3] != "healthy" or "off course" in await page.js(focused), "n leads to what needs attention"
        await page.press("Enter")
        assert await text(page, "#panel-title") == names[7][0]
        await page.press("Escape")
        assert (await page.js(focused)).split(", ")[0] == names[7][0], "and back to where it was"


async def test_a_screen_reader_is_told_what_everything_is(chromium: Chromium, small: World) -> None:
    async with opened(chromium, small, "#cluster=edge-00040") as page:
        await page.until("document.querySelectorAll('.finding').length", "the panel")
        await page.js("document.querySelector('[role=listbox]').focus()")
        nodes = await page.tree()
        named: dict[str, list[str]] = {}
        for node in nodes:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
        for role in ("button", "searchbox", "listbox", "option", "heading", "complementary", "region"):
            assert all(named.get(role, ())), (role, named.get(role))
        assert {"banner", "main", "status"} <= named.keys()
        assert {"Show only clusters that are", "Show as"} <= set(named["group"])
        assert "Abdrift" in named["heading"]
        regions = {cluster.place("region") for cluster in small.model.fleet.clusters.values()}
        assert sorted(named["listbox"]) == sorted(regions)
        (option,) = named["option"]
        assert "region eu-central" in option
        assert "last seen" in option, "evidence has an age"
        levels = await page.js("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), levels
        await page.js("document.querySelector('#as-table').click()")
        rows = await page.js("[...document.querySelectorAll('tbody tr')].map((row) => row.innerText.split('\\t'))")
        assert len(rows) == 50
        assert rows[0][1] == "failing", "what is worst stands first"
        roles = {node["role"]["value"] for node in await page.tree()}
        assert {"table", "caption", "columnheader", "rowheader"} <= {role.lower() for role in roles}


CONTRASTS = """(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgba(colour).map((each) => each / 255)
      .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [a, b] = [light(one), light(other)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const poor = [];
  let measured = 0;
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!says || !element.checkVisibility() || element.closest(".hidden, .skip, svg")) continue;
    measured++;
    const found = ratio(getComputedStyle(element).color, ground(element));
    if (found < 4.5) poor.push([element.className, element.textContent.slice(0, 30), found]);
  }
  const root = getComputedStyle(document.documentElement);
  const read = (name) => root.getPropertyValue(`--${name}`).trim();
  for (const shape of ["healthy", "degraded", "failing", "unknown", "drift", "accent"]) {
    for (const under of ["card", "raised"]) {
      const found = ratio(read(shape), read(under));
      if (found < 3) poor.push([shape, under, found]);
    }
  }
  return { poor, measured };
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_can_be_read_in_light_and_in_dark(chromium: Chromium, small: World, scheme: str) -> None:
    small.model.reading.phase = "lost"
    async with opened(chromium, small, "#cluster=edge-00040") as page:
        await page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        await page.until("document.querySelectorAll('.finding').length", "the panel")
        await page.until("!document.querySelector('#banner').hidden", "the banner")
        await page.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found = await page.js(CONTRASTS)
        assert found["measured"] > 100
        assert found["poor"] == []
        await page.js("document.querySelector('#panel-close').click(); document.querySelector('#as-table').click()")
        assert (await page.js(CONTRASTS))["poor"] == []


ATTACK = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>"\'><svg onload=window.hit=1>'


async def test_what_names_and_messages_hold_stays_text(chromium: Chromium) -> None:
    world = World()
    names = [f"{ATTACK}{number}" for number in range(3)]
    world.tell([facts.inventory(name, site=ATTACK, region=ATTACK, **{ATTACK: ATTACK}) for name in names])
    world.tell([facts.health(name, "failing", why=ATTACK) for name in names])
    world.tell([facts.changed(names[0], "f1", message=ATTACK, managers=(ATTACK,))])
    world.tell([facts.incident({names[0]: ATTACK}, author=ATTACK), facts.frozen_by(ATTACK)])
    async with opened(chromium, world) as page:
        page.expected = "TrustedHTML"
        await page.js("document.querySelector('[role=listbox]').focus()")
        await page.press("Enter")
        await page.until("document.querySelectorAll('.finding').length", "the panel")
        await page.js("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for selector in ("#panel-title", ".finding .message", ".labels", "#incidents-list", ".region h3", "#banner"):
            assert ATTACK[:20] in await text(page, selector), selector
        await page.js("document.querySelector('#as-table').click()")
        assert ATTACK in await text(page, "#table")
        assert (
            await page.js("document.querySelectorAll('body img, body script, body [onerror], svg[onload]').length") == 0
        )
        assert await page.js("window.hit") is None
        refused = await page.js(
            "(() => { try { document.body.innerHTML = 'x'; return 'taken' } catch (e) { return e.name } })()"
        )
        assert refused == "TypeError", "the page's policy has no string be read as markup"


async def test_a_change_shows_and_a_lost_connection_is_said_and_found_again(chromium: Chromium, small: World) -> None:
    async with chromium.page() as page:
        page.expected = "Failed to load resource"
        async with small.served() as server:
            await page.shape(1440, 900)
            await page.go(server.url)
            await page.until(IS_PICTURED, "the first picture")
            before = await page.js(PIXEL % "edge-00001")
            small.tell([facts.health("edge-00001", "failing", why="broken")])
            await page.until("document.querySelector('.chip.failing strong').textContent === '2'", "the count")

            async def is_drawn() -> bool:
                return bool(await page.js(PIXEL % "edge-00001") != before)

            await until(is_drawn, "the cell's new colour")
            port = server.url.rstrip("/").rpartition(":")[2]
        await page.until("document.querySelector('#banner').textContent.includes('No connection')", "the banner")
        assert await page.js("document.body.classList.contains('is-stale')"), "what is old does not look new"
        small.tell([facts.health("edge-00002", "failing", why="broken")])
        async with small.served(listen=f"127.0.0.1:{port}"):
            await page.until("document.querySelector('.chip.failing strong').textContent === '3'", "what was missed")
            await page.until("document.querySelector('#banner').hidden", "the banner's end")


async def test_filters_dim_what_does_not_match_and_the_address_keeps_them(chromium: Chromium, small: World) -> None:
    async with opened(chromium, small, "#q=region%3Deu-central&is=healthy") as page:
        shown = "document.querySelector('#matches').textContent"
        await page.until(f"{shown}.includes('of 50 shown')", "the matches")
        matching = [
            cluster.name
            for cluster in small.model.fleet.clusters.values()
            if cluster.place("region") == "eu-central" and cluster.status == "healthy"
        ]
        assert await page.js(shown) == f"{len(matching)} of 50 shown"
        assert await page.js("document.querySelector('.chip.healthy').ariaPressed") == "true"
        await page.js("document.querySelector('.chip.healthy').click()")
        assert "is=" not in await page.js("location.hash")
        await page.js("document.querySelector('.see').click()")
        assert await page.js("location.hash.includes('incident=inc-1')")
        await page.js("location.hash = 'incident=inc-1'")
        await page.until(f"{shown} === '1 of 50 shown'", "the incident's member, by the address alone")


async def test_a_page_that_was_left_holds_no_connection(chromium: Chromium, small: World) -> None:
    async with small.served() as server, chromium.page() as page:
        for _ in range(7):  # more than the six that a browser has for one server
            await page.go(server.url)
            await page.until(IS_PICTURED, "the first picture")

        async def is_one() -> bool:
            return server.browsers == 1

        await until(is_one, "the streams of the pages that were left to end")
