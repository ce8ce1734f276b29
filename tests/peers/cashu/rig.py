# Real mints (Nutshell, on its fake Lightning wallet) and a wallet that pays with their ecash, driven by JSON lines.
#
# rig.py DIRECTORY starts two, one without fees and one that takes 100 ppk, prints one line that names them, then reads one
# command a line and prints one answer a line. A third, whose keyset's id is of version 1, starts when told to. It ends with
# its input, and the mints end with it.
import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

# The wallet talks on standard output; the answers have one of their own.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def say(answer):
    print(json.dumps(answer), file=ANSWERS, flush=True)


HOME = os.path.abspath(sys.argv[1])
FEES_PPK = [0, 100, 100]
# The last version whose keyset ids are of version 1 (NUT-02), for the third mint.
OLD = {"VERSION": "0.19.2"}
FLOAT_SAT = 100_000
os.environ.setdefault("CASHU_DIR", HOME)
os.environ["TOR"] = "FALSE"

from loguru import logger  # noqa: E402

logger.remove()

from cashu.core.base import TokenV3, TokenV3Token, TokenV4, TokenV4Proof, TokenV4Token  # noqa: E402
from cashu.core.p2pk import P2PKSecret  # noqa: E402
from cashu.core.secret import SecretKind, Tags  # noqa: E402
from cashu.wallet.helpers import deserialize_token_from_string  # noqa: E402
from cashu.wallet.wallet import Wallet  # noqa: E402


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Mint:
    def __init__(self, number):
        self.number = number
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = os.path.join(HOME, f"mint{number}")
        os.makedirs(self.home, exist_ok=True)
        self.process = None

    def start(self, env=None):
        self.free_proofs()
        env = dict(
            PATH=os.environ.get("PATH", ""),
            HOME=self.home,
            CASHU_DIR=self.home,
            MINT_DATABASE=os.path.join(self.home, "db"),
            MINT_PRIVATE_KEY=f"rig mint {self.number}",
            MINT_LISTEN_HOST="127.0.0.1",
            MINT_LISTEN_PORT=str(self.port),
            MINT_BACKEND_BOLT11_SAT="FakeWallet",
            MINT_RATE_LIMIT="FALSE",
            MINT_INPUT_FEE_PPK=str(FEES_PPK[self.number]),
            FAKEWALLET_DELAY_INCOMING_PAYMENT="0",
            FAKEWALLET_DELAY_OUTGOING_PAYMENT="0",
            # More than all tests pay out together: with less left its payments are pending for ever.
            FAKEWALLET_BALANCE_SAT="1000000000",
            TOR="FALSE",
            **(OLD if self.number == 2 else {}),
            **(env or {}),
        )
        log = open(os.path.join(self.home, "log"), "ab")
        program = os.path.join(os.path.dirname(sys.executable), "mint")
        self.process = subprocess.Popen(
            [program], env=env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    def change(self, statement):
        """Of the database of a mint that does not run."""
        path = os.path.join(self.home, "db", "mint.sqlite3")
        if os.path.exists(path):
            database = sqlite3.connect(path, timeout=10)
            with database:
                database.execute(statement)
            database.close()

    def retire(self):
        self.change("UPDATE keysets SET active = 0")

    def free_proofs(self):
        """Frees the proofs of swaps that it was killed in. Nutshell leaves them pending for ever; who runs it has to do this."""
        self.change("DELETE FROM proofs_pending WHERE melt_quote IS NULL")

    def wait(self):
        end = time.monotonic() + 180
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"mint {self.number} has ended, see {self.home}/log")
            try:
                with urllib.request.urlopen(self.url + "/v1/keysets", timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"mint {self.number} does not answer")

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None


mints = [Mint(0), Mint(1), Mint(2)]
wallets = {}


async def wallet(number, name="payer"):
    if (number, name) not in wallets:
        made = await Wallet.with_db(mints[number].url, os.path.join(HOME, f"{name}{number}"), name=name)
        await made.load_mint()
        wallets[number, name] = made
    return wallets[number, name]


async def fund(number, amount):
    payer = await wallet(number)
    await payer.load_proofs(reload=True)
    if payer.available_balance.amount < amount + 1000:
        quote = await payer.request_mint(FLOAT_SAT)
        await payer.mint(FLOAT_SAT, quote_id=quote.quote)
        await payer.load_proofs(reload=True)
    return payer


def lock_of(ask):
    if "lock" not in ask:
        return None
    tags = Tags()
    for name, values in ask.get("tags", []):
        tags[name] = values
    return P2PKSecret(kind=SecretKind.P2PK.value, data=ask["lock"], tags=tags)


async def in_pieces(payer, inputs, amount, pieces):
    """Several splits, one after the other, for a token of many proofs."""
    send = []
    for _ in range(pieces // 3):
        await payer.load_proofs(reload=True)
        _, part = await payer.split([max(payer.proofs, key=lambda proof: proof.amount)], 7)
        await payer.invalidate(part)
        send += part
    return send


async def token(ask):
    """A token: mint, amount, fees (add what spending it costs), lock and tags (NUT-11), dleq, legacy (cashuA).

    With pieces it is of so many proofs, and of 7 sat for each three of them.
    """
    payer = await fund(ask["mint"], ask["amount"])
    inputs = []
    for proof in sorted(payer.active_proofs(payer.proofs), key=lambda proof: proof.amount):
        inputs.append(proof)
        if sum(proof.amount for proof in inputs) >= ask["amount"] + 50:
            break
    if pieces := ask.get("pieces"):
        send = await in_pieces(payer, inputs, ask["amount"], pieces)
    else:
        _, send = await payer.split(inputs, ask["amount"], lock_of(ask), include_fees=ask.get("fees", False))
    # Gone: the wallet must not spend them another time.
    await payer.invalidate(send)
    made = await payer.serialize_proofs(send, include_dleq=ask.get("dleq", True), legacy=ask.get("legacy", False))
    return {"token": made, "secrets": [proof.secret for proof in send]}


async def tokens(ask):
    """Many tokens of one proof each: mint, count, amount (a power of two), lock (NUT-11).

    With requests it is, instead, the body of a swap (NUT-03) of each for one new proof.
    """
    size, left, made = ask["amount"], ask["count"], []
    while left > 0:
        count = min(left, 200)
        left -= count
        payer = await fund(ask["mint"], size * count)
        largest = max(payer.active_proofs(payer.proofs), key=lambda proof: proof.amount)
        amounts = payer.determine_output_amounts
        payer.determine_output_amounts = lambda *args, **more: (amounts(*args, **more)[0], [size] * count)
        try:
            _, send = await payer.split([largest], size * count, lock_of(ask))
        finally:
            payer.determine_output_amounts = amounts
        await payer.invalidate(send)
        if ask.get("requests"):
            secrets, rs, _ = await payer.generate_n_secrets(count)
            outputs, _ = payer._construct_outputs([size] * count, secrets, rs, payer.keyset_id)
            for proof, output in zip(send, outputs):
                inputs = [{"id": proof.id, "amount": size, "secret": proof.secret, "C": proof.C}]
                outputs = [{"id": output.id, "amount": size, "B_": output.B_}]
                made.append(json.dumps({"inputs": inputs, "outputs": outputs}))
        else:
            made += [await payer.serialize_proofs([proof], include_dleq=True) for proof in send]
    return {"made": made}


async def reencode(ask):
    """The same proofs in another token: version, order, unit, mint, keyset, without DLEQ; C taken from another proof."""
    read = deserialize_token_from_string(ask["token"])
    proofs = read.proofs if isinstance(read.proofs, list) else read.proofs()
    if ask.get("largest"):
        proofs = [max(proofs, key=lambda proof: proof.amount)]
    if ask.get("reverse"):
        proofs = proofs[::-1]
    if ask.get("forge"):
        # A point on the curve, and no signature of the mint's.
        for proof in proofs:
            proof.C = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    if "keyset" in ask:
        for proof in proofs:
            proof.id = ask["keyset"]
    mint = ask.get("url", read.mint)
    dleq = ask.get("dleq", True) and all(proof.dleq for proof in proofs)
    if ask.get("legacy"):
        other = TokenV3(token=[TokenV3Token(mint=mint, proofs=proofs)], _memo=ask.get("memo"), _unit=ask.get("unit", "sat"))
        return {"token": other.serialize(dleq)}
    groups = {}
    for proof in proofs:
        groups.setdefault(proof.id, []).append(TokenV4Proof.from_proof(proof, include_dleq=dleq))
    tokens = [TokenV4Token(i=bytes.fromhex(id), p=group) for id, group in groups.items()]
    other = TokenV4(t=tokens, d=ask.get("memo"), m=mint, u=ask.get("unit", "sat"))
    return {"token": other.serialize(dleq)}


async def spend(ask):
    """Somebody else swaps the token at its mint."""
    number = next(mint.number for mint in mints if mint.url in deserialize_token_from_string(ask["token"]).mint)
    thief = await wallet(number, "thief")
    read = deserialize_token_from_string(ask["token"])
    proofs = read.proofs
    for proof in proofs:
        # A token gives a keyset's id in short.
        proof.id = next(id for id in thief.keysets if id.startswith(proof.id))
    await thief.redeem(proofs)
    return {"ok": True}


async def pend(ask):
    """The mint takes the token's proofs for pending, as in a payment that has not ended."""
    read = deserialize_token_from_string(ask["token"])
    number = next(mint.number for mint in mints if mint.url in read.mint)
    database = sqlite3.connect(os.path.join(mints[number].home, "db", "mint.sqlite3"), timeout=10)
    with database:
        for proof in read.proofs:
            database.execute(
                "INSERT INTO proofs_pending (amount, c, secret, y, id, created) VALUES (?, ?, ?, ?, ?, ?)",
                (proof.amount, proof.C, proof.secret, proof.Y, proof.id, int(time.time())),
            )
    database.close()
    return {"ok": True}


async def invoice(ask):
    """A BOLT11 invoice of the mint's wallet over amount sat."""
    payer = await wallet(ask["mint"], "payee")
    quote = await payer.request_mint(ask["amount"])
    return {"invoice": quote.request}


async def paid_out(ask):
    """What the mint says it has paid by its own books: which invoices, how many, over how much, and the fees, in sat."""
    database = sqlite3.connect(os.path.join(mints[ask["mint"]].home, "db", "mint.sqlite3"), timeout=10)
    rows = database.execute(
        "SELECT count(*), coalesce(sum(amount), 0), coalesce(sum(fee_paid), 0) FROM melt_quotes WHERE state = 'PAID'"
    ).fetchone()
    invoices = [row[0] for row in database.execute("SELECT request FROM melt_quotes WHERE state = 'PAID'")]
    database.close()
    return {"count": rows[0], "amount": rows[1], "fees": rows[2], "invoices": invoices}


async def control(ask):
    """stop, start, pause, resume of a mint; start may give settings of its (`env`), and retire its keysets for a new one."""
    mint = mints[ask["mint"]]
    if ask["do"] == "stop":
        mint.stop()
    elif ask["do"] == "start":
        env = ask.get("env", {})
        if ask.get("retire"):
            mint.retire()
            env["MINT_DERIVATION_PATH"] = "m/0'/0'/1'"
        if not mint.process:
            mint.start(env)
        mint.wait()
    elif ask["do"] == "pause":
        mint.process.send_signal(signal.SIGSTOP)
    elif ask["do"] == "resume":
        mint.process.send_signal(signal.SIGCONT)
    return {"ok": True}


COMMANDS = dict(
    token=token, tokens=tokens, reencode=reencode, spend=spend, pend=pend, stop=control, start=control, pause=control, resume=control,
    invoice=invoice, paid_out=paid_out
)


async def main():
    for mint in mints[:2]:
        mint.start()
    for mint in mints[:2]:
        mint.wait()
    say({"mints": [mint.url for mint in mints]})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        ask = json.loads(line)
        try:
            answer = await COMMANDS[ask["do"]](ask)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to see it
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(answer)


try:
    asyncio.run(main())
finally:
    for mint in mints:
        mint.stop()
