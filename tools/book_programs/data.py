# ruff: noqa: E501, SIM905 - tables of formats
"""Small random files in the formats of well-known data sets, served by a proxy for every host.

Programs fetch by urllib, pandas, curl or wget: all of them respect `http_proxy`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import threading
import wave
import zipfile
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlparse

import numpy as np
from PIL import Image

Files = dict[str, bytes]
WORDS = "the a film movie was good bad very not it is and of to in one more great poor story plot end".split()


def _rng(seed: str) -> np.random.Generator:
    return np.random.default_rng(sum(map(ord, seed)))


def image(name: str, size: tuple[int, int] = (96, 80), form: str = "JPEG") -> bytes:
    """Return a smooth random image."""
    small = _rng(name).integers(0, 255, (6, 6, 3), dtype="uint8")
    out = io.BytesIO()
    Image.fromarray(small).resize(size).save(out, form)
    return out.getvalue()


def mask(name: str, size: tuple[int, int] = (96, 80)) -> bytes:
    """Return a PNG of classes 1, 2 and 3."""
    small = _rng(name).integers(1, 4, (6, 6), dtype="uint8")
    out = io.BytesIO()
    Image.fromarray(small).resize(size, 0).save(out, "PNG")
    return out.getvalue()


def sound(name: str, rate: int = 16000) -> bytes:
    """Return one second of a noisy tone as WAV."""
    rng = _rng(name)
    tone = np.sin(np.arange(rate) * rng.uniform(0.02, 0.3)) + rng.normal(0, 0.1, rate)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((tone * 9000).astype("<i2").tobytes())
    return out.getvalue()


def text(name: str, words: int = 60) -> str:
    """Return random words."""
    return " ".join(_rng(name).choice(WORDS, words))


def table(
    name: str, header: str, row: Callable[[np.random.Generator], list[object]], rows: int, top: bool = True
) -> bytes:
    """Return a CSV file."""
    rng, out = _rng(name), io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if top:
        writer.writerow(header.split(","))
    for _ in range(rows):
        writer.writerow(row(rng))
    return out.getvalue().encode()


def zipped(files: Files) -> bytes:
    """Return a ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Files) -> bytes:
    """Return a gzipped TAR archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _folders(pattern: str, names: str, count: int, make: Callable[[str], bytes]) -> Files:
    paths = [pattern.format(name=name, i=i) for name in names.split() for i in range(count)]
    return {path: make(path) for path in paths}


def _flowers() -> Files:
    files = _folders("flower_photos/{name}/{i}.jpg", "daisy dandelion roses sunflowers tulips", 24, image)
    return {**files, "flower_photos/LICENSE.txt": b"free"}


def _reviews() -> Files:
    kinds = "train/pos train/neg train/unsup test/pos test/neg"
    return _folders("aclImdb/{name}/{i}_7.txt", kinds, 100, lambda p: text(p).encode())


def _pairs(end: str = "") -> bytes:
    lines = [f"{text(str(i), 2 + i % 5)}.\t{text(str(i + 900), 2 + i % 6)}.{end}" for i in range(1200)]
    return "\n".join(lines).encode()


def _jena() -> bytes:
    header = (
        "Date Time,p (mbar),T (degC),Tpot (K),Tdew (degC),rh (%),VPmax (mbar),VPact (mbar),VPdef (mbar),"
        "sh (g/kg),H2OC (mmol/mol),rho (g/m**3),wv (m/s),max. wv (m/s),wd (deg)"
    )
    days = np.datetime64("2009-01-01T00:10") + np.arange(9000) * np.timedelta64(10, "m")
    stamps = iter(f"{d[8:10]}.{d[5:7]}.{d[:4]} {d[11:16]}:00" for d in map(str, days))
    return table("jena", header, lambda r: [next(stamps), *np.round(r.normal(5, 3, 14), 2)], 9000)


def _titanic(rows: int) -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        return [
            r.integers(2),
            r.choice(["male", "female"]),
            round(r.uniform(1, 70), 1),
            r.integers(3),
            r.integers(3),
            round(r.uniform(5, 90), 4),
            r.choice(["First", "Second", "Third"]),
            r.choice(["A", "B", "C", "unknown"]),
            r.choice(["Southampton", "Cherbourg"]),
            r.choice(["y", "n"]),
        ]

    header = "survived,sex,age,n_siblings_spouses,parch,fare,class,deck,embark_town,alone"
    return table(f"titanic{rows}", header, row, rows)


def _heart() -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        return [
            r.integers(30, 70),
            r.integers(2),
            r.integers(1, 5),
            r.integers(90, 180),
            r.integers(150, 300),
            r.integers(2),
            r.integers(3),
            r.integers(90, 190),
            r.integers(2),
            round(r.uniform(0, 4), 1),
            r.integers(1, 4),
            r.integers(4),
            r.choice(["fixed", "normal", "reversible"]),
            r.integers(2),
        ]

    header = "age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,s{},ca,thal,target".format("lope")
    return table("heart", header, row, 303)


def _pets() -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        return [
            r.choice(["Cat", "Dog"]),
            r.integers(1, 60),
            r.choice(["Tabby", "Mixed", "Beagle"]),
            r.choice(["Male", "Female"]),
            r.choice(["Black", "Brown"]),
            r.choice(["White", "Cream"]),
            r.choice(["Small", "Medium"]),
            r.choice(["Short", "Long"]),
            r.choice(["Yes", "No"]),
            r.choice(["Yes", "No"]),
            r.choice(["Healthy", "Minor Injury"]),
            r.integers(0, 200),
            text("pet", 8),
            r.integers(1, 5),
            r.integers(0, 5),
        ]

    header = (
        "Type,Age,Breed1,Gender,Color1,Color2,MaturitySize,FurLength,Vaccinated,Sterilized,Health,Fee,"
        "Description,PhotoAmt,AdoptionSpeed"
    )
    return table("pets", header, row, 600)


def _numbers(
    name: str, columns: int, rows: int, classes: int, header: str = "", first: bool = False
) -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        values = list(np.round(r.normal(1, 1, columns), 4))
        label = int(r.integers(classes))
        return [float(label), *values] if first else [*values, label]

    return table(name, header, row, rows, bool(header))


def _cars() -> bytes:
    rng, lines = _rng("cars"), []
    for i in range(398):
        power = "?" if i % 90 == 7 else f"{rng.uniform(50, 200):.1f}"
        lines.append(
            f"{rng.uniform(10, 40):.1f}   {rng.choice([4, 6, 8])}   {rng.uniform(90, 400):.1f}      {power}      "
            f"{rng.uniform(1800, 4500):.0f}.      {rng.uniform(9, 20):.1f}   {rng.integers(70, 83)}  "
            f'{rng.integers(1, 4)}\t"car {i}"'
        )
    return ("\n".join(lines) + "\n").encode()


def _adult(end: str = "") -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        return [
            r.integers(18, 80),
            " " + r.choice(["Private", "State-gov"]),
            r.integers(20000, 300000),
            " " + r.choice(["Bachelors", "HS-grad"]),
            r.integers(1, 16),
            " " + r.choice(["Divorced", "Never-married"]),
            " " + r.choice(["Sales", "Tech-support"]),
            " " + r.choice(["Wife", "Husband"]),
            " " + r.choice(["White", "Black"]),
            " " + r.choice(["Male", "Female"]),
            r.integers(0, 5000),
            r.integers(0, 900),
            r.integers(10, 60),
            " " + r.choice(["United-States", "Cuba"]),
            " " + r.choice(["<=50K", ">50K"]) + end,
        ]

    return (b"|1x3 Cross validator\n" if end else b"") + table("adult" + end, "", row, 700, False)


def _housing() -> bytes:
    def row(r: np.random.Generator) -> list[object]:
        return [
            *np.round(r.normal(5, 1, 2), 2),
            r.integers(1, 50),
            r.integers(100, 5000),
            r.integers(50, 900),
            r.integers(100, 3000),
            r.integers(50, 900),
            round(r.uniform(1, 9), 3),
            r.integers(20000, 400000),
            r.choice(["INLAND", "NEAR BAY"]),
        ]

    header = (
        "longitude,latitude,housing_median_age,total_rooms,total_bedrooms,population,households,median_income,"
        "median_house_value,ocean_proximity"
    )
    return table("housing", header, row, 2000)


def _ridership() -> bytes:
    days = [str(d) for d in np.arange("2001-01-01", "2020-12-31", dtype="datetime64[D]")]
    stamps = iter(f"{d[5:7]}/{d[8:10]}/{d[:4]}" for d in days)

    def row(r: np.random.Generator) -> list[object]:
        bus, rail = (int(v) for v in r.integers(100000, 900000, 2))
        return [next(stamps), "W", bus, rail, bus + rail]

    return table("ridership", "service_date,day_type,bus,rail_boardings,total_rides", row, len(days))


def _movielens() -> Files:
    ratings = table(
        "ml",
        "userId,movieId,rating,timestamp",
        lambda r: [r.integers(1, 60), r.integers(1, 90), r.integers(1, 11) / 2, r.integers(10**9, 2 * 10**9)],
        3000,
    )
    ids = iter(range(1, 91))
    movies = table(
        "mv", "movieId,title,genres", lambda r: [i := next(ids), f"Film {i} (1999)", "Drama|War"], 90
    )
    return {"ml-latest-small/ratings.csv": ratings, "ml-latest-small/movies.csv": movies}


def _movielens_1m() -> Files:
    rng = _rng("1m")
    users = "\n".join(f"{i}::{'MF'[i % 2]}::{rng.integers(60)}::{i % 21}::{i:05d}" for i in range(1, 60))
    movies = "\n".join(f"{i}::Film {i} (1999)::Drama|War" for i in range(1, 90))
    ratings = "\n".join(
        f"{rng.integers(1, 60)}::{rng.integers(1, 90)}::{rng.integers(1, 6)}::{rng.integers(10**9, 2 * 10**9)}"
        for _ in range(3000)
    )
    return {
        f"ml-1m/{k}.dat": v.encode()
        for k, v in {"users": users, "movies": movies, "ratings": ratings}.items()
    }


def _glove() -> Files:
    rng = _rng("glove")
    lines = (f"{word} {' '.join(f'{v:.4f}' for v in rng.normal(0, 1, 100))}" for word in WORDS)
    return {"glove.6B.100d.txt": "\n".join(lines).encode()}


def _sized(classes: int) -> Files:
    return _folders(
        "cats_and_dogs_filtered/{name}/{i}.jpg",
        "train/cats train/dogs validation/cats validation/dogs",
        20,
        image,
    )


def _npz() -> bytes:
    rng, out = _rng("npz"), io.BytesIO()
    arrays = {
        f"x_{k}": rng.integers(0, 255, (n, 28, 28), dtype="uint8") for k, n in (("train", 900), ("test", 300))
    }
    labels = {f"y_{k}": rng.integers(0, 10, n) for k, n in (("train", 900), ("test", 300))}
    np.savez(out, **arrays, **labels)
    return out.getvalue()


def _ucr() -> bytes:
    rng = _rng("ucr")
    rows = (
        "\t".join([f"{rng.choice([-1, 1])}", *(f"{v:.4f}" for v in rng.normal(0, 1, 500))])
        for _ in range(120)
    )
    return "\n".join(rows).encode()


def _stack_overflow() -> Files:
    kinds = " ".join(
        f"{part}/{name}" for part in ("train", "test") for name in ("csharp", "java", "javascript", "python")
    )
    return _folders("{name}/{i}.txt", kinds, 40, lambda p: text(p).encode())


def _oxford(part: str) -> Files:
    files: Files = {}
    for i in range(1, 40):
        if part == "images":
            files[f"images/cat_{i}.jpg"] = image(f"cat{i}")
        else:
            files[f"annotations/trimaps/cat_{i}.png"] = mask(f"cat{i}")
    return files


def _prose(name: str) -> bytes:
    rng = _rng(name)
    lines = (" ".join(rng.choice(WORDS, 9)).capitalize() + (".\n" if i % 7 else ".\n\n") for i in range(2500))
    return "".join(lines).encode()


def _chorales() -> Files:
    def piece(path: str) -> bytes:
        return table(path, "note0,note1,note2,note3", lambda r: [int(v) for v in r.integers(36, 80, 4)], 80)

    return _folders("jsb_chorales/{name}/chorale_{i:03d}.csv", "train valid test", 12, piece)


FILES: dict[str, Callable[[], bytes]] = {
    "HIGGS.csv.gz": lambda: gzip.compress(_numbers("higgs", 28, 12000, 2, first=True)),
    "ImageNetLabels.txt": lambda: "\n".join(["background", *(f"class {i}" for i in range(1000))]).encode(),
    "Metro_Interstate_Traffic_Volume.csv.gz": lambda: gzip.compress(
        table(
            "metro",
            "holiday,temp,rain_1h,snow_1h,clouds_all,weather_main,weather_description,date_time,traffic_volume",
            lambda r: [
                r.choice(["None", "Labor Day"]),
                round(r.uniform(250, 310), 2),
                0.0,
                0.0,
                r.integers(100),
                r.choice(["Clouds", "Rain"]),
                "sky is clear",
                "2012-10-02 09:00:00",
                r.integers(7000),
            ],
            2000,
        )
    ),
    "YellowLabradorLooking_new.jpg": lambda: image("dog", (320, 240)),
    "aclImdb_v1.tar.gz": lambda: tarred(_reviews()),
    "abalone_test.csv": lambda: _numbers("ab2", 7, 200, 20),
    "abalone_train.csv": lambda: _numbers("ab", 7, 800, 20),
    "adult.data": _adult,
    "adult.test": lambda: _adult("."),
    "auto-mpg.data": _cars,
    "butler.txt": lambda: _prose("butler"),
    "cats_and_dogs.zip": lambda: zipped(_sized(2)),
    "census-income.data.gz": lambda: gzip.compress(_adult()),
    "cowper.txt": lambda: _prose("cowper"),
    "creditcard.csv": lambda: _credit(),
    "creditcard.zip": lambda: zipped({"creditcard.csv": _credit()}),
    "derby.txt": lambda: _prose("derby"),
    "ecg.csv": lambda: _numbers("ecg", 140, 600, 2),
    "facades.tar.gz": lambda: tarred(
        {
            f"facades/{k}/{i}.jpg": image(f"{k}{i}", (512, 256))
            for k in ("train", "test", "val")
            for i in range(1, 13)
        }
    ),
    "flower_photos.tgz": lambda: tarred(_flowers()),
    "fra-eng.zip": lambda: zipped({"fra.txt": _pairs("\tCC-BY"), "fra-eng/fra.txt": _pairs()}),
    "glove.6B.zip": lambda: zipped(_glove()),
    "heart.csv": _heart,
    "housing.tgz": lambda: tarred({"housing/housing.csv": _housing()}),
    "imagenet_class_index.json": lambda: json.dumps(
        {str(i): [f"n{i:08d}", f"class_{i}"] for i in range(1000)}
    ).encode(),
    "iris_test.csv": lambda: _numbers("iris2", 4, 30, 3, "30,4,setosa,versicolor,virginica"),
    "iris_training.csv": lambda: _numbers("iris", 4, 120, 3, "120,4,setosa,versicolor,virginica"),
    "jena_climate_2009_2016.csv.zip": lambda: zipped({"jena_climate_2009_2016.csv": _jena()}),
    "jsb_chorales.tgz": lambda: tarred(_chorales()),
    "kagglecatsanddogs_5340.zip": lambda: zipped(_folders("PetImages/{name}/{i}.jpg", "Cat Dog", 40, image)),
    "mini_speech_commands.zip": lambda: zipped(
        _folders("mini_speech_commands/{name}/{i}.wav", "down go left no right stop up yes", 12, sound)
    ),
    "ml-1m.zip": lambda: zipped(_movielens_1m()),
    "ml-latest-small.zip": lambda: zipped(_movielens()),
    "mnist.npz": _npz,
    "moby10b.txt": lambda: _prose("moby"),
    "petfinder_mini.zip": lambda: zipped({"petfinder-mini/petfinder-mini.csv": _pets()}),
    "ridership.tgz": lambda: tarred({"ridership/CTA_-_Ridership_-_Daily_Boarding_Totals.csv": _ridership()}),
    "spa-eng.zip": lambda: zipped({"spa-eng/spa.txt": _pairs()}),
    "stack_overflow_16k.tar.gz": lambda: tarred(_stack_overflow()),
    "annotations.tar.gz": lambda: tarred(_oxford("annotations")),
    "images.tar.gz": lambda: tarred(_oxford("images")),
    "BSDS300-images.tgz": lambda: tarred(
        _folders("BSR/BSDS500/data/images/{name}/{i}.jpg", "train val test", 16, image)
    ),
    "BSR_bsds500.tgz": lambda: tarred(
        _folders("BSR/BSDS500/data/images/{name}/{i}.jpg", "train val test", 16, image)
    ),
    "train.csv": lambda: _titanic(627),
    "eval.csv": lambda: _titanic(264),
    "wdbc.data": lambda: table(
        "wdbc",
        "",
        lambda r: [r.integers(10**6), r.choice(["M", "B"]), *np.round(r.normal(9, 2, 30), 3)],
        569,
        False,
    ),
    "winequality-red.csv": lambda: _numbers("wine", 11, 900, 9),
    "FordA_TRAIN.tsv": _ucr,
    "FordA_TEST.tsv": _ucr,
    "mnist_test.npz": _npz,
}


def _credit() -> bytes:
    header = ",".join(["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"])
    return table(
        "credit", header, lambda r: [*np.round(np.abs(r.normal(1, 1, 30)), 3), int(r.uniform() < 0.1)], 3000
    )


_cache: Files = {}


def content(url: str) -> bytes | None:
    """Return the file of a URL, or None."""
    path = unquote(urlparse(url).path)
    name = PurePosixPath(path).name
    if name not in _cache:
        suffix = PurePosixPath(name).suffix.lower()
        if name in FILES:
            _cache[name] = FILES[name]()
        elif suffix in (".jpg", ".jpeg") or "Red_sunflower" in name or "jpg" in name.lower():
            _cache[name] = image(name, (320, 240))
        elif suffix == ".png":
            _cache[name] = image(name, (320, 240), "PNG")
        elif suffix == ".wav":
            _cache[name] = sound(name)
        elif suffix == ".txt":
            _cache[name] = _prose(name)
        elif "timeseries" in name or "daily_" in name or "art_" in name:
            steps = iter(range(4032))
            _cache[name] = table(
                "art",
                "timestamp,value",
                lambda r: [
                    f"2014-04-{1 + (i := next(steps)) // 288:02d} {i % 288 // 12:02d}:{i % 12 * 5:02d}:00",
                    r.uniform(high=9),
                ],
                4032,
            )
        else:
            return None
    return _cache[name]


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests of a proxy."""

    def do_GET(self) -> None:
        """Send the file, or 404."""
        data = content(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def do_HEAD(self) -> None:
        """Send the size."""
        data = content(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Write nothing."""


def serve() -> str:
    """Start the proxy in a thread. Return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
