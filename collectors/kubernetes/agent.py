"""The agent of one cluster: decides what is watched, and keeps it watched."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any

from abdrift import flux
from abdrift.arrow import frames
from abdrift.clock import ClockMs, wall_clock_ms
from abdrift.kubeconfig import KubeConfigError
from abdrift.signals.objects import CLUSTER, LostDetail
from collectors import telemetry
from collectors.epochs import next_epoch
from collectors.framing import Framer, FramerSettings, Outlet, Send, Spooled
from collectors.kubernetes.api import METADATA_ONLY, Api, ApiRefusedError, LoadCredentials, UnreachableError
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.discovery import Catalogue, GroupKind, Served, discover
from collectors.kubernetes.handlers import DefinitionsHandler, EventsHandler
from collectors.kubernetes.heartbeat import Heart, Sight
from collectors.kubernetes.inventories import Inventories, OwnerKey, Ref, inventory_of
from collectors.kubernetes.kinds import WHOLE, Budget, KindWatch, Masks, Surroundings
from collectors.kubernetes.manifests import Manifests
from collectors.kubernetes.reads import Reads
from collectors.kubernetes.reflector import Handler, Reflector, Target
from collectors.kubernetes.reporter import Key, Reporter
from collectors.kubernetes.shares import Share

log = logging.getLogger(__name__)

_SECRET: GroupKind = ("", "Secret")
_OWNERS: tuple[GroupKind, ...] = (
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
)
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_EVENTS = "/api/v1/events"
_OWNERS_SETTLE_SECONDS = 10
_INVENTORY_DEBOUNCE_SECONDS = 0.2
_LOOK_UP_DEBOUNCE_SECONDS = 1
# A definition is established, and then discovery catches up, a little after it is written.
_DISCOVERY_TRIES_SECONDS = (0.3, 1, 3)


class Agent:
    """Watches one cluster and puts what it sees into an outlet.

    `start` returns at once; `stop` ends all watches. `wait` returns when the agent has ended, and raises what ended it.
    """

    def __init__(
        self,
        config: KubernetesConfig,
        outlet: Outlet,
        *,
        masker: Masks,
        clock: ClockMs = wall_clock_ms,
        rng: random.Random | None = None,
        load: LoadCredentials | None = None,
        share: Share | None = None,
    ) -> None:
        """`load` is by default from the kubeconfig that `config` names, `share` without bounds."""
        self.config = config
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._api = Api(config, load, share)
        self._reporter = Reporter(config.cluster, outlet, clock)
        self._around = Surroundings(
            source=config.source,
            api=self._api,
            reporter=self._reporter,
            masker=masker,
            clock=clock,
            budget=Budget(config.max_objects),
            lookups=asyncio.Semaphore(config.recheck_concurrency),
            on_object=self._on_object,
            on_gone=self._on_gone,
            on_applied=self._on_applied,
        )
        self._reads = Reads(self._api, self._reporter, self._served_of, self._around.lookups)
        self._manifests = Manifests(
            self._api,
            self._reporter,
            masker,
            self._backoff(),
            allowed=config.helm_storage,
            retry_seconds=config.refused_retry_seconds,
            catalogue=lambda: self._catalogue,
            found=self._on_manifest,
        )
        self._heart = Heart(config, self._api, self._reporter, clock, self._all_reflectors)
        self._catalogue: Catalogue = {}
        self._kinds: dict[GroupKind, KindWatch] = {}
        self._reflectors: dict[GroupKind, list[tuple[Reflector, asyncio.Task[None]]]] = {}
        self._missing: dict[GroupKind, str] = {}
        self._inventories = Inventories()
        self._self_inventoried: set[OwnerKey] = set()
        self._inventory_changed = asyncio.Event()
        self._definitions_changed = asyncio.Event()
        self._look_up_soon = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def known_objects(self) -> int:
        """How many objects are remembered by fingerprint."""
        return self._around.budget.used

    @property
    def watches(self) -> dict[GroupKind, list[str]]:
        """By (group, kind), the state of each list-watch; Events are `("", "Event")`."""
        return {kind: [reflector.state.value for reflector, _ in running] for kind, running in self._reflectors.items()}

    @property
    def missing(self) -> dict[GroupKind, str]:
        """Kinds that are wanted and can't be watched, with the reason."""
        return dict(self._missing)

    @property
    def sight(self) -> Sight:
        """How it fares with the cluster's API server."""
        return self._heart.sight

    async def renew(self) -> None:
        """Speak by the credentials as they are now."""
        await self._api.renew()

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self.run(), name=self.config.source)

    async def stop(self) -> None:
        """End all watches. The outlet is not the agent's to close."""
        if self._task and not self._task.done():
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait(self) -> None:
        """Return when the agent has ended; raises what ended it."""
        assert self._task, "start first"
        await self._task

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            KubeConfigError: the credentials are unusable.
            ExceptionGroup: a part of the agent failed; that is a mistake in it, or the outlet is closed.

        """
        try:
            await self._api.open()
        except KubeConfigError as error:
            detail = LostDetail(reason="no-credentials", message=str(error), since_ms=self._clock())
            await self._reporter.lost(CLUSTER, "v1", detail)
            raise
        async with self._api, asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._heart.run())
            await self._until_discovered()
            self._reflect(
                ("apiextensions.k8s.io", "watch"), Target(_DEFINITIONS, {}, METADATA_ONLY), self._definitions()
            )
            if self.config.events:
                events = EventsHandler(self.config, self._reporter, self._clock)
                self._reflect(("", "Event"), Target(_EVENTS, {}), events)
            for kind in self.config.kinds:
                await self._ensure(kind, frozenset({WHOLE}))
            for loop in (
                self._manifests.run(),
                self._reads.run(),
                self._discover_again(),
                self._follow_inventories(),
                self._recheck(),
            ):
                group.create_task(loop)

    # What is served ---------------------------------------------------------------------------------------------

    async def _until_discovered(self) -> None:
        backoff = self._backoff()
        while not await self._discover():  # noqa: ASYNC110  a retry, not a wait for somebody else
            await asyncio.sleep(backoff.seconds())

    async def _discover(self) -> bool:
        try:
            self._catalogue = await discover(self._api)
        except (ApiRefusedError, UnreachableError) as error:
            log.warning("%s: discovery failed: %s", self.config.source, error)
            return False
        return True

    def _definitions(self) -> DefinitionsHandler:
        return DefinitionsHandler(self._definitions_changed.set)

    async def _discover_again(self) -> None:
        """Look at what is served when definitions change, and now and then where that can't be watched."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.refused_retry_seconds):
                    await self._definitions_changed.wait()
            for seconds in _DISCOVERY_TRIES_SECONDS if self._definitions_changed.is_set() else (0,):
                self._definitions_changed.clear()
                await asyncio.sleep(seconds)
                if await self._discover():
                    await self._ensure_all()

    async def _ensure_all(self) -> None:
        for kind in self.config.kinds:
            await self._ensure(kind, frozenset({WHOLE}))
        if self.config.inventoried:
            for kind, selectors in self._inventories.selectors().items():
                await self._ensure(kind, selectors)

    # What is watched --------------------------------------------------------------------------------------------

    async def _ensure(self, kind: GroupKind, selectors: frozenset[str]) -> None:
        """See to it that a kind is watched by these selectors, or said to be lost."""
        served = self._catalogue.get(kind)
        if kind == _SECRET and not self.config.secrets:
            await self._miss(kind, "forbidden", "Secrets are watched only where opted in (secrets)")
            return
        if served is None or not served.watchable:
            await self._miss(kind, "not-found", "the cluster serves no such kind that can be watched")
            return
        self._missing.pop(kind, None)
        watch = self._kinds.get(kind)
        if watch is None or watch.served != served:
            before, watch = watch, self._watch_anew(served, watch)
            selectors |= frozenset(before.views if before else ())
        for selector in selectors:
            if selector not in watch.views and not watch.whole:
                query = {"labelSelector": selector} if selector else {}
                self._reflect(kind, Target(served.resource.path(), query), watch.view(selector))

    def _watch_anew(self, served: Served, before: KindWatch | None) -> KindWatch:
        """Watch a kind for the first time, or at the version that is preferred by now."""
        for _, task in self._reflectors.pop(served.group_kind, ()):
            task.cancel()
        watch = KindWatch(served, self._around, before.seen if before else None)
        self._kinds[served.group_kind] = watch
        return watch

    async def _miss(self, kind: GroupKind, reason: str, message: str) -> None:
        if self._missing.get(kind) == reason or kind in self._kinds:
            return
        self._missing[kind] = reason
        await self._reporter.lost(kind, "", LostDetail(reason=reason, message=message, since_ms=self._clock()))

    def _reflect(self, kind: GroupKind, target: Target, handler: Handler) -> None:
        reflector = Reflector(self._api, target, handler, self.config, self._clock, self._backoff())
        self._reflectors.setdefault(kind, []).append((reflector, self._spawn(reflector.run())))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._group, "the agent is not running"
        return self._group.create_task(job)

    def _all_reflectors(self) -> Iterable[Reflector]:
        return [reflector for running in self._reflectors.values() for reflector, _ in running]

    def _backoff(self) -> Backoff:
        return Backoff(self.config.retry_initial_seconds, self.config.retry_max_seconds, self._rng)

    # What inventories name --------------------------------------------------------------------------------------

    def _on_object(self, served: Served, obj: Mapping[str, Any]) -> None:
        telemetry.KNOWN_OBJECTS.labels(self.config.source).set(self._around.budget.used)
        if served.group_kind not in _OWNERS:
            return
        metadata = obj["metadata"]
        owner = OwnerKey(served.kind, str(metadata.get("namespace") or ""), str(metadata["name"]))
        self._reads.saw(owner, str(metadata["resourceVersion"]), busy=flux.phase(obj) == "applying")
        found = inventory_of(obj)
        if served.kind == "HelmRelease":
            self._manifests.want((owner.namespace, owner.name), obj)
        if found is None:
            return
        refs, unreadable = found
        if unreadable:
            telemetry.DROPPED.labels(self.config.source, "inventory-id").inc(unreadable)
        # Newer Flux inventories a HelmRelease itself; its manifest then adds nothing.
        self._self_inventoried.add(owner)
        self._set_inventory(owner, refs)

    def _on_gone(self, served: Served, key: Key) -> None:
        if served.group_kind not in _OWNERS:
            return
        if served.kind == "HelmRelease":
            self._manifests.forget(key)
        owner = OwnerKey(served.kind, *key)
        self._self_inventoried.discard(owner)
        self._reads.forget(owner)
        if self._inventories.remove(owner):
            self._inventory_changed.set()

    def _on_applied(self, served: Served, key: Key, version: str) -> None:
        owner = self._inventories.owner_of(Ref(served.resource.group, served.kind, *key))
        if owner is not None:
            self._reads.want(owner, version)

    def _served_of(self, owner: OwnerKey) -> Served | None:
        return next((self._catalogue.get(kind) for kind in _OWNERS if kind[1] == owner.kind), None)

    def _on_manifest(self, key: Key, refs: frozenset[Ref]) -> None:
        owner = OwnerKey("HelmRelease", *key)
        if owner not in self._self_inventoried:
            self._set_inventory(owner, refs)

    def _set_inventory(self, owner: OwnerKey, refs: frozenset[Ref]) -> None:
        if self._inventories.put(owner, refs):
            self._inventory_changed.set()

    async def _follow_inventories(self) -> None:
        """Watch each kind that an inventory names, once the owners are listed: before, a kind would be asked twice."""
        if not self.config.inventoried:
            return
        owners = [self._kinds[kind].settled.wait() for kind in _OWNERS if kind in self._kinds]
        with suppress(TimeoutError):
            async with asyncio.timeout(_OWNERS_SETTLE_SECONDS):
                await asyncio.gather(*owners)
        while True:
            await self._inventory_changed.wait()
            await asyncio.sleep(_INVENTORY_DEBOUNCE_SECONDS)
            self._inventory_changed.clear()
            named = self._inventories.keys_by_kind()
            for kind, selectors in self._inventories.selectors().items():
                await self._ensure(kind, selectors)
                # A kind that is watched from now on lists no sooner than this loop lets it: it knows what to look up.
                if (watch := self._kinds.get(kind)) and watch.set_inventoried(frozenset(named[kind])):
                    self._look_up_soon.set()

    async def _recheck(self) -> None:
        """Fetch what no watch shows, on a slow timer and soon after an inventory grew."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.recheck_seconds * self._rng.uniform(0.9, 1.1)):
                    await self._look_up_soon.wait()
                    # What was applied just now is on its way through the watches.
                    await asyncio.sleep(_LOOK_UP_DEBOUNCE_SECONDS)
            self._look_up_soon.clear()
            for watch in list(self._kinds.values()):
                await watch.recheck()


async def run(
    config: KubernetesConfig,
    send: Send,
    *,
    masker: Masks,
    settings: FramerSettings | None = None,
    clock: ClockMs = wall_clock_ms,
    rng: random.Random | None = None,
    spooled: Callable[[], Spooled] = Spooled,
) -> None:
    """Run one cluster's agent until cancelled; what it saw by then is still sent.

    Raises:
        KubeConfigError: the credentials are unusable.
        ExceptionGroup: a part of the agent failed.

    """
    epoch = next_epoch(config.source, config.state_dir, clock)
    # Its frames are small: what Arrow's library would take is several times what the agent itself does.
    async with Framer(config.source, epoch, send, settings, encode=frames.encode, rng=rng, spooled=spooled) as framer:
        await Agent(config, framer, masker=masker, clock=clock, rng=rng).run()
