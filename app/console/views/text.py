"""The console's words, English and Chinese. What has no word here (a rule to come) is shown by its own name."""

from collections.abc import Mapping
from typing import Final, Literal

from vigil.app.domain.rulebook.hosts import DayRange, Rung

Language = Literal["en", "zh"]
LANGUAGES: Final[dict[Language, str]] = {"en": "English", "zh": "中文"}

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "console": ("Vigil console", "Vigil 控制台"),
    "wall": ("Live rooms", "直播间"),
    "skip": ("Skip to content", "跳到正文"),
    "search": ("Search", "搜索"),
    "search.hint": ("Room, host, supplier, verdict or rule", "直播间、商家、供应商、判定或规则"),
    "search.none": ("Nothing that was read is called “{words}”.", "没有找到名称含“{words}”的内容。"),
    "search.begin": ("Type part of an id, or a rule.", "请输入 ID 的一部分或规则名称。"),
    "search.more": ("There are more than are shown: type more of the id.", "结果过多，未全部显示：请输入更多字符。"),
    "theme": ("Theme", "主题"),
    "theme.light": ("Light", "浅色"),
    "theme.dark": ("Dark", "深色"),
    "theme.auto": ("System", "跟随系统"),
    "language": ("Language", "语言"),
    "keys": ("Keyboard", "快捷键"),
    "keys.search": ("Search", "搜索"),
    "keys.move": ("Next or previous room or verdict", "下一个 / 上一个直播间或判定"),
    "keys.open": ("Open the one selected", "打开所选项"),
    "keys.hold": ("Hold the order, or let it go", "锁定 / 解除排序"),
    "keys.wall": ("To the live rooms", "返回直播间列表"),
    "keys.bands": ("Show one band of urgency, or all", "按紧急程度筛选 / 显示全部"),
    "keys.help": ("This list", "显示本列表"),
    "keys.on": ("Single-key shortcuts on", "启用单键快捷键"),
    "close": ("Close", "关闭"),
    "signed-in": ("Signed in as {name}", "当前用户：{name}"),
    "role.view": ("viewing", "查看"),
    "role.review": ("reviewing", "审核"),
    "sign-in": ("Sign in", "登录"),
    "sign-out": ("Sign out", "退出"),
    "sign-in.token": ("Your token", "您的令牌"),
    "sign-in.wrong": ("That token is not known here.", "令牌无效。"),
    "sign-in.say": ("Whoever runs this console gives out tokens.", "令牌由本控制台的管理员发放。"),
    "live.on": ("Live", "实时"),
    "live.off": ("Connection lost, trying again", "连接已断开，正在重连"),
    "hold": ("Hold order", "锁定排序"),
    "catching-up": ("Reading the last while: {percent} %", "正在读取历史数据：{percent}%"),
    "no-topics": ("Waiting for topics that do not exist yet: {topics}", "等待尚未创建的主题：{topics}"),
    "trouble": ("Nothing can be read from Kafka: {why}", "无法从 Kafka 读取：{why}"),
    "silent": ("Nothing has come for {seconds} s", "已有 {seconds} 秒没有新数据"),
    "behind": (
        "Judgement lags by {lag} (rooms: {rooms}). Are the workers running?",
        "判定已滞后 {lag}（涉及 {rooms} 个直播间）：请检查 worker 是否在运行",
    ),
    "recorded": ("Recorded data, as of {time}", "历史数据，截至 {time}"),
    "times": ("Times: {zone}", "时区：{zone}"),
    "band.all": ("All", "全部"),
    "band.critical": ("Critical", "紧急"),
    "band.at-risk": ("At risk", "有风险"),
    "band.watch": ("Watch", "关注"),
    "band.calm": ("Calm", "正常"),
    "band.critical.say": (
        "within a minute of a violation, or two buyers missed in a row and another waiting",
        "一分钟内将违规，或连续两位买家未被接待且又有买家等待",
    ),
    "band.at-risk.say": (
        "past half of a rule's time, two buyers missed in a row, or a high-tier buyer about to be missed",
        "已过规则时限一半，连续两位买家未被接待，或高等级买家即将漏接",
    ),
    "band.watch.say": (
        "a condition is open, a high-tier buyer waits, or there is no signal",
        "出现异常状态、高等级买家等待中或无信号",
    ),
    "band.calm.say": ("nothing is open", "无异常"),
    "col.urgency": ("Urgency", "紧急程度"),
    "col.room": ("Room", "直播间"),
    "col.host": ("Host", "商家"),
    "col.conditions": ("Open conditions · time left", "异常状态 · 剩余时间"),
    "col.waiting": ("High-tier waiting", "高等级买家等待"),
    "col.buyers": ("Buyers", "买家"),
    "col.missed": ("Missed", "漏接"),
    "col.last": ("Latest verdict", "最近判定"),
    "col.stream": ("Stream", "推流"),
    "col.at": ("At", "时间"),
    "col.rule": ("Rule", "规则"),
    "col.action": ("Action", "处置"),
    "col.count": ("Count", "次数"),
    "col.status": ("Status", "状态"),
    "col.supplier": ("Supplier", "供应商"),
    "col.score": ("Predicted", "预测分"),
    "col.industry": ("Industry", "行业"),
    "wall.none": ("No room is live.", "当前没有直播间在播。"),
    "wall.none-here": ("No room here fits.", "没有符合条件的直播间。"),
    "wall.script": (
        "The live list needs JavaScript. Rooms are also found by searching.",
        "实时列表需要 JavaScript，也可通过搜索查找直播间。",
    ),
    "verdicts.latest": ("Latest verdicts", "最新判定"),
    "verdicts.none": ("No verdict so far.", "暂无判定。"),
    "verdicts": ("Verdicts", "判定"),
    "verdict": ("Verdict", "判定"),
    "room": ("Room", "直播间"),
    "host": ("Host", "商家"),
    "supplier": ("Supplier", "供应商"),
    "rooms": ("Rooms", "直播间"),
    "hosts": ("Hosts", "商家"),
    "suppliers": ("Suppliers", "供应商"),
    "suppliers.list": ("Suppliers by predicted score", "供应商（按预测分）"),
    "unknown": (
        "This console has read nothing about it. It reads a bounded past; see the manual to read further back.",
        "本控制台没有读到相关内容。控制台只读取有限的历史数据，如需更早的数据请参阅手册。",
    ),
    "stream.live": ("live", "直播中"),
    "stream.disconnected": ("disconnected", "已断开"),
    "stream.ended": ("ended", "已结束"),
    "stream.lost": ("signal lost", "信号丢失"),
    "stream.none": ("no frame yet", "尚无画面"),
    "lane.stream": ("Stream", "推流"),
    "lane.face": ("Face", "人脸"),
    "lane.black": ("Black", "黑屏"),
    "lane.activity": ("Activity, labels", "活动与标签"),
    "lane.entries": ("Buyers entered", "买家进入"),
    "lane.receptions": ("Receptions", "接待"),
    "face.yes": ("face visible", "有人脸"),
    "face.no": ("no face", "无人脸"),
    "black.yes": ("black picture", "黑屏"),
    "gap": ("no frames", "无画面数据"),
    "activity.hosting": ("hosting", "讲解中"),
    "activity.signed-off": ("signed off", "已离开"),
    "activity.sleeping": ("sleeping", "睡觉"),
    "activity.equipment": ("at the equipment", "调试设备"),
    "activity.eating": ("eating", "吃东西"),
    "activity.chatting": ("chatting", "闲聊"),
    "activity.driving": ("driving", "开车"),
    "activity.none": ("nothing", "无活动"),
    "entry.entered": ("entered", "进入"),
    "entry.waiting": ("waits for reception", "等待接待"),
    "entry.missed": ("had no reception", "未被接待"),
    "said.text": ("typed", "文字"),
    "said.speech": ("said", "语音"),
    "notice.at-risk": ("at risk", "有风险"),
    "notice.risk-cleared": ("risk cleared", "风险解除"),
    "notice.entry-missed": ("buyer missed", "买家漏接"),
    "notice.signal-lost": ("signal lost", "信号丢失"),
    "notice.signal-back": ("signal back", "信号恢复"),
    "opened": ("open since", "开始"),
    "due": ("due", "到期"),
    "since": ("since", "自"),
    "timeline": ("Timeline", "时间线"),
    "timeline.say": (
        "Timeline of {room} from {since} to {until}: {verdicts} verdicts. The list below tells the same in words.",
        "{room} 从 {since} 到 {until} 的时间线：{verdicts} 个判定。下方列表以文字说明。",
    ),
    "timeline.span": ("Show", "显示"),
    "minutes": ("{n} min", "{n} 分钟"),
    "legend.violation": ("violation", "违规"),
    "legend.risk": ("at risk", "有风险"),
    "legend.ahead": ("open, time left", "异常，剩余时间"),
    "legend.evidence": ("evidence", "证据"),
    "legend.missed": ("missed buyer", "漏接买家"),
    "legend.high": ("high-tier buyer", "高等级买家"),
    "legend.gap": ("no frames", "无画面数据"),
    "happened": ("What happened", "事件"),
    "happened.none": ("Nothing to tell so far.", "暂无事件。"),
    "figures": ("Figures", "数据"),
    "fig.buyers": ("Buyers now", "当前买家"),
    "fig.engaged": ("engaged", "深度互动"),
    "fig.entries": ("Entries", "进入"),
    "fig.received": ("Received", "已接待"),
    "fig.missed": ("Missed", "漏接"),
    "fig.median": ("Reception, median", "接待中位时间"),
    "fig.p95": ("95th percentile", "95 分位"),
    "fig.comments": ("Comments", "评论"),
    "fig.comments.of": ("{host} host, {buyer} buyers", "主播 {host}，买家 {buyer}"),
    "fig.air": ("On air", "在播时长"),
    "fig.absent": ("Absent", "离开"),
    "fig.black": ("Black", "黑屏"),
    "conditions": ("Open conditions", "异常状态"),
    "conditions.none": ("Nothing is open.", "无异常。"),
    "waiting": ("Buyers waiting for reception", "等待接待的买家"),
    "waiting.none": ("Nobody is waiting.", "没有等待的买家。"),
    "as-of": ("as of {time}", "截至 {time}"),
    "tier.none": ("no tier", "无等级"),
    "evidence": ("Evidence", "证据"),
    "judged": ("judged by the limits in force since {date}", "依据 {date} 起生效的规则"),
    "occurred": ("Occurred", "发生时间"),
    "since.run": ("Since", "开始于"),
    "rulebook.says": ("The rule", "规则内容"),
    "follows": ("What follows", "处置结果"),
    "follows.none": ("No action is known yet.", "暂无处置。"),
    "count.nth": ("violation {n} of its family within the window", "窗口期内该类别第 {n} 次违规"),
    "revision": ("revision {n}", "第 {n} 版"),
    "status.active": ("active", "有效"),
    "status.withdrawn": ("withdrawn", "已撤回"),
    "choice": ("A moderator chooses: {options}", "由审核员选择：{options}"),
    "ban.until": ("banned until {time}", "封禁至 {time}"),
    "review": ("Review", "复核"),
    "review.decision": ("Decision", "决定"),
    "review.upheld": ("Uphold", "维持"),
    "review.overturned": ("Overturn", "推翻"),
    "reviewed.upheld": ("upheld", "已维持"),
    "reviewed.overturned": ("overturned", "已推翻"),
    "review.reason": ("Reason", "理由"),
    "review.reason.hint": ("Needed to overturn; goes into the record", "推翻时必填，将记入档案"),
    "review.as": ("It carries your name, {name}.", "将以您的名字 {name} 提交。"),
    "review.send": ("Send review", "提交复核"),
    "review.by": ("by {name}", "由 {name}"),
    "review.none": ("Nobody has reviewed it.", "尚未复核。"),
    "review.sent": (
        "Your review was sent. Once Vigil has judged it, what follows changes here.",
        "复核已提交，Vigil 处理后结果将在此更新。",
    ),
    "review.failed": (
        "Kafka did not take the review: {why}. Nothing was changed.",
        "Kafka 未接收复核：{why}。未作更改。",
    ),
    "review.needs-reason": ("Say why it is overturned.", "请填写推翻理由。"),
    "review.too-long": ("The reason has more than 4,096 characters.", "理由超过 4096 个字符。"),
    "review.needs-decision": ("Choose a decision.", "请选择决定。"),
    "review.view-only": ("You may view, but not review.", "您只有查看权限，不能复核。"),
    "form.stale": (
        "This form was not shown by this console in this browser, or is too old. Please send it again.",
        "表单无效或已过期，请重新提交。",
    ),
    "ladders": ("Ladders", "处罚阶梯"),
    "ladder.window": ("within {n} days", "{n} 天内"),
    "ladder.good": ("all that are remembered", "长期累计"),
    "ladder.count": ("{n} counted", "已计 {n} 次"),
    "ladder.next": ("The next violation would be no. {n}: {steps}", "下次违规为第 {n} 次：{steps}"),
    "ladder.always": ("but for {rule}: {steps}", "但若为{rule}：{steps}"),
    "ladder.more": ("and more", "及以上"),
    "ladder.leaves": ("counts until {time}", "计入至 {time}"),
    "ladder.read": (
        "Counted from the actions of the last {days} days that this console has read.",
        "根据本控制台读取的最近 {days} 天的处置计算。",
    ),
    "host.banned": ("Banned until {time}", "封禁至 {time}"),
    "host.free": ("Not banned", "未封禁"),
    "history": ("Actions", "处置记录"),
    "history.none": ("No action is known.", "暂无处置记录。"),
    "score.response": ("Response rate", "回复率"),
    "score.response.say": (
        "{part} of {whole} RFQs of the last {days} days were quoted within {hours} h",
        "最近 {days} 天的 {whole} 个询价中，{part} 个在 {hours} 小时内报价",
    ),
    "score.reply": ("Reply rate", "买家回复率"),
    "score.reply.say": ("{part} of {whole} quotes were replied to", "{whole} 个报价中 {part} 个获得回复"),
    "score.none": ("none yet", "暂无"),
    "score.predicted": ("Predicted score", "预测分"),
    "score.assessed": ("Assessed, {month}", "{month} 考核分"),
    "score.factors": ("Score by factor", "分项得分"),
    "score.quotes": ("Quotes this month", "本月报价"),
    "score.gmv": ("90-day GMV", "90 天 GMV"),
    "score.bonus": ("Verified bonus", "认证加分"),
    "score.rank": ("rank {rank} of {of}", "第 {rank} 名，共 {of} 名"),
    "score.of": ("{points} of {most}", "{points} / {most}"),
    "score.raise": ("What would raise it", "如何提分"),
    "score.raise.none": ("Every factor that can be reckoned is at its most.", "各分项均已达到最高。"),
    "score.gain.one": ("+1 point", "+1 分"),
    "score.gain": ("+{n} points", "+{n} 分"),
    "score.month": ("GMV this month", "本月 GMV"),
    "score.rights": ("Quote rights by the GMV challenge", "GMV 挑战报价权益"),
    "score.entitlements": ("Entitlements", "权益"),
    "score.entitlements.none": ("None before the first assessed month.", "首个考核月之前无权益。"),
    "score.next-band": ("{n} points more, and a month's assessment gives:", "再得 {n} 分，月度考核可获得："),
    "score.next-prize": ("US$ {amount} more this month: {n} quote rights", "本月再达成 US$ {amount}：{n} 个报价权益"),
    "score.pins": ("Pin decisions", "置顶结果"),
    "score.trail": ("Predicted score as it changed", "预测分变化"),
    "membership.verified": ("verified", "认证会员"),
    "membership.standard": ("standard", "普通会员"),
    "stars": ("{n} stars", "{n} 星"),
    "ent.gold": ("Gold RFQs", "金牌询价"),
    "ent.pinned": ("Pinned quotes", "置顶报价"),
    "ent.free": ("Free-pass quotes", "免审报价"),
    "ent.silver": ("Silver RFQs early", "银牌询价提前"),
    "ent.stars": ("Star marketing points", "星级营销分"),
    "unlimited": ("unlimited", "不限"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "pin.granted": ("granted, place {n}", "已置顶，第 {n} 位"),
    "pin.refused": ("refused: {why}", "被拒：{why}"),
    "pin.rejected": ("the quote was rejected", "报价已被拒绝"),
    "pin.full": ("all places are taken", "位置已满"),
    "raise.quotes.begin": (
        "Quote an RFQ this month: without a quote there is no rank",
        "本月至少报价一次：无报价则无排名",
    ),
    "raise.quotes.rank": (
        "Quote more RFQs: rank {rank} of {of} is the next step",
        "多报价：下一目标为第 {rank} 名（共 {of} 名）",
    ),
    "raise.quotes.top": (
        "The top tenth by quotes (rank {rank} of {of})",
        "报价数进入前 10%（第 {rank} 名，共 {of} 名）",
    ),
    "raise.response.begin": ("Quote an RFQ this month, in time", "本月及时报价至少一次"),
    "raise.response.first": ("Quote one RFQ in time: now none was", "及时报价一次：目前没有及时的报价"),
    "raise.response.rank": ("A better response rate: rank {rank} of {of}", "提高回复率：第 {rank} 名（共 {of} 名）"),
    "raise.response.top": (
        "The top tenth by response rate (rank {rank} of {of})",
        "回复率进入前 10%（第 {rank} 名，共 {of} 名）",
    ),
    "raise.response.share": (
        "{more} RFQs in a row quoted in time bring the rate to {percent} %",
        "连续 {more} 个询价及时报价，回复率可达 {percent}%",
    ),
    "raise.reply.begin": (
        "Quote: the reply rate is of the quotes of the last 30 days",
        "先报价：回复率按最近 30 天的报价计算",
    ),
    "raise.reply.more": ("{more} more of {quotes} quotes replied to", "{quotes} 个报价中再有 {more} 个获得回复"),
    "raise.gmv.more": ("US$ {amount} more of settled 90-day GMV", "90 天结算 GMV 再增加 US$ {amount}"),
    "raise.bonus.verified": ("Verified membership", "成为认证会员"),
    "raise.bonus.gmv": (
        "US$ {amount} more of 90-day GMV by the month's end, for next month's bonus",
        "月底前 90 天 GMV 再增加 US$ {amount}，下月可得加分",
    ),
    "step.warn": ("warn", "警告"),
    "step.close": ("close", "关闭直播"),
    "step.take-offline": ("take offline", "下线"),
    "step.delete-content": ("delete content", "删除内容"),
    "step.ban": ("ban", "封禁"),
    "step.freeze": ("freeze", "冻结"),
    "step.close-past-rooms": ("close past rooms", "关闭历史直播"),
    "or": (" or ", "或"),
    "comma": (", ", "、"),
    "days": (" {n}\u00a0d", " {n} 天"),
    "family.reception": ("Reception", "接待"),
    "family.low-quality": ("Low quality", "低质直播"),
    "family.obs": ("Canvas (OBS)", "画面布局 (OBS)"),
    "family.rights": ("Rights", "侵权"),
    "family.harassment": ("Harassment", "骚扰"),
    "family.minors": ("Minors", "未成年人"),
    "family.prohibited-goods": ("Prohibited goods", "禁售商品"),
    "rule.greeting-miss": ("Greeting miss", "未接待买家"),
    "rule.absence": ("Absence", "主播离开"),
    "rule.black-screen": ("Black screen", "黑屏"),
    "rule.av-desync": ("Sound and picture apart", "音画不同步"),
    "rule.dead-air": ("Dead air", "空播"),
    "rule.sleeping": ("Sleeping", "睡觉"),
    "rule.no-content": ("No content", "无有效内容"),
    "rule.theme-mismatch": ("Theme mismatch", "主题不符"),
    "rule.layout": ("Layout", "画面布局"),
    "rule.illegal-background": ("Illegal background", "违规背景"),
    "rule.rights": ("Rights", "侵权"),
    "rule.harassment": ("Harassment", "骚扰"),
    "rule.minor": ("Minor", "未成年人"),
    "rule.prohibited-goods": ("Prohibited goods", "禁售商品"),
    "error.404": ("There is no such page.", "页面不存在。"),
    "error.403": ("That is not yours to do.", "您没有权限。"),
    "error.400": ("That was not understood.", "请求无法识别。"),
    "error.500": ("Something broke on our side; it was logged.", "服务器出错，已记录日志。"),
}

SCRIPT_WORDS: Final = (
    "live.on",
    "live.off",
    "wall.none",
    "wall.none-here",
    "verdicts.none",
    "comma",
    "stream.lost",
)
"""What the scripts need besides names of rules, bands, steps and streams."""


class Words:
    """The words of one language."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._column = 0 if language == "en" else 1

    def __call__(self, key: str, **told: object) -> str:
        """The words of a key, with what is told put into them; the key's last part where there are none."""
        pair = _WORDS.get(key)
        if pair is None:
            return key.rpartition(".")[2]
        return pair[self._column].format(**told) if told else pair[self._column]

    def rule(self, rule: str) -> str:
        return self(f"rule.{rule}") if f"rule.{rule}" in _WORDS else rule

    def rules_called(self, words: str) -> set[str]:
        """The rules whose name, as told here or by the specification, has the words in it."""
        wanted = words.strip().casefold()
        rules = (key.partition(".")[2] for key in _WORDS if key.startswith("rule."))
        return {rule for rule in rules if wanted and (wanted in rule or wanted in self.rule(rule).casefold())}

    def steps(
        self,
        steps: "tuple[str, ...]",
        days: "Mapping[str, int | DayRange | None] | None" = None,
        choice: "tuple[str, ...] | None" = None,
    ) -> str:
        """Steps of a ladder, with the days of a ban, freeze or look back, and what a moderator may choose."""
        told = []
        for step in steps:
            span = (days or {}).get(step)
            length = f"{span.least}–{span.most}" if isinstance(span, DayRange) else str(span) if span else ""
            names = choice if choice and step == choice[0] else (step,)
            name = self("or").join(self(f"step.{one}") for one in names)
            told.append(name + (self("days", n=length) if length else ""))
        return self("comma").join(told)

    def rung(self, rung: Rung) -> str:
        days = {"ban": rung.ban_days, "freeze": rung.freeze_days, "close-past-rooms": rung.past_days}
        return self.steps(rung.steps, days, rung.choice)

    def script(self) -> dict[str, str]:
        """What the scripts show."""
        prefixes = ("rule.", "step.", "stream.", "reviewed.", "band.")
        names = [key for key in _WORDS if key.startswith(prefixes) and not key.endswith(".say")]
        return {key: self(key) for key in (*names, *SCRIPT_WORDS)}


WORDS: Final[dict[Language, Words]] = {language: Words(language) for language in LANGUAGES}


def choose(asked: str | None, accepted: str | None) -> Language:
    """The language asked for, else the first of the browser's that there is, else English."""
    if asked in ("en", "zh"):
        return "zh" if asked == "zh" else "en"
    for part in (accepted or "").lower().split(","):
        name = part.split(";")[0].strip()[:2]
        if name in ("en", "zh"):
            return "zh" if name == "zh" else "en"
    return "en"
