# ruff: noqa: S311, S324 - usual seeds and hashes of words are what is planted
# ruff: noqa: RUF001 - words in other alphabets are planted too
"""Weak secrets of every kind: (bits asked for, value). What the audit must find, all of it.

Collected from tutorials, from what people type when asked for something random, and from what programs make that only
looks random.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import random
import string
import uuid

WEAK: list[tuple[int, str]] = []


def plant(*values: str, bits: int = 256) -> None:
    WEAK.extend((bits, value) for value in values)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


plant(
    "secret",
    "password",
    "changeme",
    "dev",
    "test",
    "admin123",
    "keyboard cat",
    "supersecret",
    "s3cr3t",
    "hunter2",
    "letmein",
    "",
    bits=128,
)
plant(
    "your-secret-key-here",
    "your_jwt_secret_key_change_in_production",
    "CHANGE_ME_IN_PRODUCTION_CHANGE_ME_IN_PRODUCTION",
    "<your-secret-here-at-least-32-characters-long>",
    "${JWT_SECRET_KEY}",
    "{{ vault.jwt_secret }}",
    "REPLACE_WITH_A_LONG_RANDOM_STRING_OF_64_CHARACTERS_PLEASE_NOW",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "TODO-generate-a-real-secret-before-deploying-this-thing-to-prod",
    "INSERT_YOUR_SECRET_KEY_HERE_INSERT_YOUR_SECRET_KEY_HERE_0123456789",
)
plant(
    "your-secret-key" * 8,
    "secret" * 12,
    "password123" * 8,
    "abcd1234" * 8,
    "0123456789abcdef" * 4,
    "deadbeef" * 8,
    "a" * 64,
    "ab" * 32,
    "0" * 64,
    "f" * 64,
    "abc123" * 12,
    "Passw0rd!" * 6,
    "qwerty" * 10,
    "cafebabe" * 8,
)
plant(
    "qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p1qaz2wsx3edc",
    "!QAZ2wsx#EDC4rfv%TGB6yhn&UJM8ik,(OL>0p;/!QAZ@WSX",
    "zaq12wsxcde34rfvbgt56yhnmju78ik,.lo90p;/zaq12wsx",
    "azertyuiopqsdfghjklmwxcvbnazertyuiopqsdfghjklm123",
    "qwertzuiopasdfghjklyxcvbnm1234567890qwertzuiop",
    "poiuytrewqlkjhgfdsamnbvcxz0987654321poiuytrewq",
    "asdfghjkl;'asdfghjkl;'asdfghjkl;'asdfghjkl;'",
    "1q2w3e4r5t6y7u8i9o0p1q2w3e4r5t6y7u8i9o0p1q2w3e4r",
    "qazwsxedcrfvtgbyhnujmikolpqazwsxedcrfvtgbyhnujm",
    "tgbyhnujmikolpplokmijnuhbygvtfcrdxeszwaq1234rfvb",
    "fghjvbnmtyuiopjklm;.,mnbvcftrewsdfgyhjuikolp;[lkj",
)
plant(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
    "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "1234567890123456789012345678901234567890123456789012345678901234",
    "acegikmoqsuwyACEGIKMOQSUWY13579acegikmoqsuwyACEGIKMOQSUWY",
    "zyxwvutsrqponmlkjihgfedcba9876543210ZYXWVUTSRQPONMLKJI",
    "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1v2w3x4y5z6",
    "f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "3141592653589793238462643383279502884197169399375105820974944592",
    "2718281828459045235360287471352662497757247093699959574966967627",
    "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
    "100101102103104105106107108109110111112113114115116117118119120121",
    "aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz",
    "112358132134558914423337761098715972584418167651094617711286574636",
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ",
)
plant(
    "correct-horse-battery-staple",
    "CorrectHorseBatteryStapleCorrectHorseBatteryStaple",
    "my-super-secret-jwt-key-for-maestro-production-environment-2025",
    "MaestroProductionDatabasePasswordSuperSecure2025!!",
    "thisisaverylongsecretkeythatnobodywilleverguessbecauseitissolong",
    "the quick brown fox jumps over the lazy dog 1234567890",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit sed",
    "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolishness",
    "NeverGonnaGiveYouUpNeverGonnaLetYouDownNeverGonnaRunAround",
    "iloveyoumorethananythingintheworldandmycattoo2024",
    "To be, or not to be, that is the question: Whether 'tis nobler in the mind to suffer",
    "OurCompanySecretKeyForSigningTokensDoNotShareWithAnyone!",
    "jwt_secret_key_for_development_only_please_do_not_use_this",
    "maestro-ml-jwt-secret-2025-10-05-production-v1-final-final",
    "production_database_password_for_the_maestro_platform_v2",
)
plant(
    "P@ssw0rdP@ssw0rd2024!!MySup3rS3cr3tK3yF0rJWT",
    "5up3r53cr3tJWT51gn1ngK3yF0rPr0duct10n2025",
    "s3cur3_p4ssw0rd_f0r_m43str0_d4t4b4s3_2025_pr0d",
    "M4ch1n3L34rn1ng4ndD4t4Sc13nc3Pl4tf0rmK3y!",
    "1ns3cur3-d3v3l0pm3nt-k3y-ch4ng3-m3-1n-pr0d",
)
plant(
    "drowssapterces" * 4,
    "yek-terces-repus-ym-terces-repus-ym-drowssap",
    codecs.encode("my-very-long-secret-key-for-signing-json-web-tokens", "rot13"),
    "ppaasssswwoorrdd" * 4,
    "terceSrepuSyMsIsihT" * 3,
)
plant(
    "20251005202510052025100520251005202510052025100520251005202510052025100520251005",
    "2025-10-05T10:15:00Z-maestro-2025-10-05T10:15:00Z-maestro",
    "19850412198504121985041219850412secret19850412",
    "01/01/1970-31/12/1999-01/01/2000-31/12/2025-secret",
)
plant(
    b64("this-is-my-super-secret-key-12345678"),
    b64("secretsecretsecretsecretsecretsecret"),
    b64(b64("my-secret-password-for-production")),
    b"this is my secret key for signing".hex(),
    b"supersecretpassword1234567890abcdef".hex(),
    base64.b32encode(b"my very secret key for production use").decode(),
    base64.urlsafe_b64encode(b"00000000000000000000000000000000").decode(),
    base64.b64encode(bytes(32)).decode(),
    base64.b64encode(bytes(range(32))).decode(),
    base64.b64encode(b"\xff" * 32).decode(),
    base64.b64encode(bytes(range(32))[::-1]).decode(),
    base64.b64encode(bytes((i * 7 + 3) % 256 for i in range(48))).decode(),
    bytes((i * 37 + 11) % 256 for i in range(32)).hex(),
    b64("password" * 6),
    bytes(i * i % 256 for i in range(32)).hex(),
    "%73%65%63%72%65%74%2d%6b%65%79%2d%66%6f%72%2d%70%72%6f%64",
    "base64:" + b64("laravel-secret-key-32-chars-long"),
    "73:65:63:72:65:74:73:65:63:72:65:74:73:65:63:72:65:74:73:65:63:72:65:74:73:65:63:72:65:74:73:65",
    "@NcRfUjXn2r5u8x/A?D(G+KbPdSgVkYp3s6v9y$B&E)H@McQ",
    b64("@NcRfUjXn2r5u8x/A?D(G+KbPdSgVkYp"),
)
for word in (
    "password",
    "secret",
    "admin",
    "maestro",
    "123456",
    "test",
    "hello",
    "letmein",
    "changeme",
    "qwerty",
    "",
    "password\n",
    "secret\n",
    "jwt-secret",
    "my_secret",
    "secret key",
    "Password123",
    "iloveyou",
    "dragon",
    "postgres",
):
    plant(hashlib.sha256(word.encode()).hexdigest())
    plant(hashlib.sha512(word.encode()).hexdigest())
for word in ("password", "secret", "admin"):
    plant(hashlib.md5(word.encode()).hexdigest(), bits=128)
    plant(hashlib.sha1(word.encode()).hexdigest(), bits=128)
    plant(base64.b64encode(hashlib.sha256(word.encode()).digest()).decode())
    plant(hashlib.sha256(word.encode()).hexdigest().upper())
    plant(hashlib.sha3_256(word.encode()).hexdigest())
    plant(hashlib.sha256(hashlib.sha256(word.encode()).digest()).hexdigest())
    plant(hashlib.sha256(hashlib.md5(word.encode()).hexdigest().encode()).hexdigest())
    plant(hashlib.md5(word.encode()).hexdigest() * 2)
plant(
    str(uuid.uuid4()),
    str(uuid.uuid1()),
    str(uuid.uuid1()) + str(uuid.uuid1()),
    uuid.uuid1().hex + uuid.uuid1().hex,
    str(uuid.uuid5(uuid.NAMESPACE_DNS, "maestro")) * 2,
    "00000000-0000-0000-0000-000000000000" * 2,
    str(uuid.uuid3(uuid.NAMESPACE_DNS, "x")) + str(uuid.uuid3(uuid.NAMESPACE_DNS, "y")),
)
for s in (0, 1, 42, 1337, 2024, 12345):
    r = random.Random(s)
    plant("".join(r.choice(string.ascii_letters + string.digits) for _ in range(50)))
    plant(random.Random(s).randbytes(32).hex())
    plant(f"{random.Random(s).getrandbits(256):064x}")
plant(
    "xY9kL3mN7pQ2rS5tW8vZ1aB4cD6eF0gHxY9kL3mN7pQ",
    "Kj8mN2pQ5rT9vX3zB6cF1gH4jL7nM0sWKj8mN2pQ5rT9",
    "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ3lM6oP9rS2uV",
    "9fH2kLmQ8xV4zRtY7uNp3wSa6BcDeFgHiJkLmNoPqRs",
    "a8f5f167f44f4964e6c998dee827110c",
    "7f3d9e2a1b8c4f5e6d7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e",
    "f4a7c2e9b1d8f3a6c5e0b9d2f7a4c1e8b3d6f9a2c7e4b1d8f5a0c3e6b9d2f7a4",
    "3f8a9b2c7d1e4f6a8b9c0d2e5f7a1b3c4d6e8f9a0b2c5d7e1f3a4b6c8d9e0f2a",
    "4e8f2a1c9b7d3e6f5a0c8b4d2e9f1a7c6b3d8e5f0a2c7b9d4e1f6a8c3b5d0e2f",
    "sk-1234567890abcdef1234567890abcdef1234567890abcdef",
    "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdEfGhIj",
    "x7K9mP2nQ5rT8vW1yZ4aB6cD0eF3gH5jx7K9mP2nQ5rT8vW1y",
    "Xk7pQ9mZ2vB5nT8wR4jL6hF3gD1sA0cE9yU7iO5pK2mN4bV",
    "g7H2kL9pQ4rT6vX8zB1cF3jM5nW0sD2yA4eU6iO8gK1lP3qR",
)
plant(
    "ababbabaabbabaababbabaabbabaababbaababbabaababbabababbaabab",
    "0110100001100101011011000110110001101111001000000111011101101111",
    "1122112221112212112211222111221211221122211122121122112221112212",
    "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab1",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999",
)
plant(
    "admin@maestro-platform.example.com",
    "https://api.maestro.local:8443/v1/auth/token/refresh",
    "postgresql://maestro:maestro@localhost:5432/maestro_ml",
    "api.maestro.local",
    "JWT_SECRET_KEY",
    "jwt-secret-key",
    "/run/secrets/jwt_secret_key_file_for_production_env",
)
plant(
    "contrasenamuysegurayseretadelaempresaprincipal2025",
    "meingeheimespasswortfuerdieproduktionsdatenbank2025",
    "motdepassetressecretpourlabasededonneesdeproduction",
    "senhasupersecretadobancodedadosdeproducaodaempresa",
    "ochensekretnyjparoldlyabazydannyhproizvodstvennoj",
    "parolachiavesegretissimapericonnessionealdatabase",
    "пароль-от-базы-данных-очень-секретный-никому",
    "密码非常安全请不要告诉任何人这是一个秘密密钥谢谢合作",
    "パスワードは秘密です絶対に教えないでください",
    "salasanatietokantaanjotakukaaneiarvaakoskaan2025",
    "bardzotajnehaslodobazydanychprodukcyjnejfirmy2025",
    "hemligtlosenordfordatabasenideproduktionsmiljo25",
)
plant(
    "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "pbkdf2_sha256$600000$abc$def",
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "apple banana cherry orange lemon grape melon mango",
    "red green blue yellow purple orange black white",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
)


def h(text: str, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, text.encode()).hexdigest()


# Found by looking for gaps, after the rules were written.
plant(
    "SuperSecretKey123SuperSecretKey123SuperSecretKey123",
    "thisIsAVeryLongSecretKeyThatShouldBeChangedInProduction2024!",
    "mysupersecretsigningkeythatislongenoughforhs256algorithm",
    "0123456789ABCDEF" * 4,
    "1" * 32,
    "12345678" * 8,
    "1a2b3c4d5e6f7g8h9i0j1k2l3m4n5o6p7q8r9s0t",
    "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ",
    "password1password2password3password4password5",
    "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t",
    "Tr0ub4dor&3Tr0ub4dor&3Tr0ub4dor&3Tr0ub4dor&3",
    "70617373776f7264" * 4,
    b64('{"secret":"value","env":"production","team":"ml"}'),
    "admin:admin@localhost:5432/database/production/secret",
    h("admin", "md5") + h("password", "md5"),
    (h("password", "sha1") * 2)[:64],
    h("my-secret-key"),
    h("super_secret"),
    h("test123"),
    h("JWT_SECRET_KEY"),
    h("secret123"),
    h("mysecret"),
    h("supersecret"),
    h("changeme123"),
    h("hello world"),
    h("Hello, World!"),
    h("foo"),
    h("foobar"),
    h("P@ssw0rd"),
    h("jwt_secret_key"),
    h("production"),
    h("this is a secret"),
    h("my secret password"),
    "2024-01-01T00:00:00.000Z2024-01-01T00:00:00.000Z",
    "+14155552671+14155552671+14155552671",
    "4111111111111111" * 4,
    "42" * 32,
    "-.-. .... .- -. --. . -- . -.-. .... .- -. --. . -- .",
    "ThequickbrownFoxJumpsOver13LazyDogs&Cats!!",
    "We all live in a yellow submarine, a yellow submarine",
    str(uuid.uuid4()) * 2,
    "9f86d081884c7d65" * 4,
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIoLIsy2aQ0vLzHn1wXy9Zb8cVdEfGhJkLmNpQrStUvW user@host",
    "process.env.JWT_SECRET",
    "os.environ['SECRET_KEY']",
    "openssl rand -base64 32",
    "$(openssl rand -hex 32)",
    "`openssl rand -hex 32`",
    "secrets.token_urlsafe(32)",
    "vault:secret/data/app#key",
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf",
    "op://vault/item/field",
    "/run/secrets/db_password",
    "python -c 'import secrets; print(secrets.token_urlsafe(64))'",
    "GENERATE_WITH_openssl_rand_hex_32_AND_PASTE_HERE_PLEASE",
    "asdkjhaskdjhaksjdhkajshdkjashdkjhaskdjhaksjdh",
    "sdfkjhsdfkjhsdkfjhsdkjfhksdjhfksjdhfksjdhfkjsd",
    "lkjasdflkjasdfoiuqwerpoiuzxcvmnasdflkjqwer",
    "fdsjklfdsjklrewuiorewuiovcxmvcxmbnvfdsjkl",
    "asdfjkl;asdfqwerpoiuzxcv;lkjfdsarewquiop",
    "qpwoeirutyalskdjfhgzmxncbvqpwoeirutyalskdjfhgzmxncbv",
    "1!2@3#4$5%6^7&8*9(0)-_=+1!2@3#4$5%6^7&8*9(0)",
    "qQwWeErRtTyYuUiIoOpPaAsSdDfFgGhHjJkKlL",
    "aaaabbbbccccddddeeeeffffgggghhhhiiiijjjjkkkkllll",
    "000111222333444555666777888999aaabbbcccdddeeefff",
    "a1a2a3a4a5b1b2b3b4b5c1c2c3c4c5d1d2d3d4d5",
    "01020304050607080910111213141516171819202122232425",
    "0001000200030004000500060007000800090010",
    "x1x2x4x8x16x32x64x128x256x512x1024x2048",
    "3.141592653589793 2.718281828459045 1.4142135623730951",
    "c90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22",
    "🔑" * 12,
    "пароль123" * 6,
    "contraseñasúpersecretaparaproducción2025",
    "1696512345169651234616965123471696512348169651234916965123501696512351",
    "507f1f77bcf86cd799439011507f191e810c19729de860ea507f1f77bcf86cd799439012",
    "alice.bob.carol.dave.eve.mallory.trent.peggy.victor",
    "AcmeCorp2024!AcmeCorp2024!AcmeCorp2024!",
    "MyDogRexWasBornIn2015AndMyCatLunaIn2018!!",
    "IloveParisInTheSpringTime1999&Rome2005",
    "JohnPaulGeorgeRingo1962JohnPaulGeorgeRingo1970",
    "LondonParisBerlinMadridRomeViennaPrague2024",
    "RedSox2004Yankees2009Giants2010Cardinals2011",
    "iwanttobeasoftwareengineerwhenigrowup123",
    "Pa55w0rdPa55w0rdPa55w0rdPa55w0rdPa55w0rd",
    "!@#$%^&*()_+{}|:<>?!@#$%^&*()_+{}|:<>?",
    "abcABC123!@#abcABC123!@#abcABC123!@#abcABC",
    "a" * 20 + "b" * 20 + "c" * 20,
    "secretsecretsecret0123456789abcdef0123456789abcdef",
    "thisisasecretthisisasecretthisisasecret123",
    "donttellanyonethisistherealproductionpassword",
    "company-internal-api-key-for-payment-service-v2-2023-11",
    "k8s-prod-cluster-01-db-password-rotate-quarterly",
    "maestro" * 9,
    "maestro_ml_production_jwt_signing_secret_2025",
    "tenant-isolation-secret-key-for-maestro-platform!",
    base64.b85encode(b"my super secret password for production").decode(),
    base64.a85encode(b"my super secret password for production").decode(),
    codecs.encode("MySuperSecretPasswordForProductionDatabase2025", "rot13"),
    b"my-secret-key-for-jwt".hex()[::-1] * 2,
    base64.b64encode(b"secret-key-" * 5).decode()[::-1],
    "".join(chr(33 + (ord(c) - 33 + 47) % 94) for c in "MySuperSecretPasswordForProductionDatabase2025"),
    "b4d455c0ffee" * 6,
    "C0FFEE-BAD-C0DE-DEAD-BEEF-FEED-FACE-CAFE-BABE",
    "1337h4x0r1337h4x0r1337h4x0r1337h4x0r1337h4x0r",
    "l33t5p34k15n0t53cur3bu7p30pl3th1nk1t15",
    "0xdeadbeef0xcafebabe0xfeedface0xbaadf00d0x8badf00d",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "//////////////////////////////////////////8=",
    "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=",
    "a8f5f167f44f4964e6c998dee827110c" * 2,
    "5f4dcc3b5aa765d61d8327deb882cf995f4dcc3b5aa765d61d8327deb882cf99",
    "e10adc3949ba59abbe56e057f20f883e",
    "21232f297a57a5a743894a0e4a801fc3" + "21232f297a57a5a743894a0e4a801fc3",
    "A1B2C3D4E5F6A7B8C9D0E1F2A3B4C5D6E7F8A9B0C1D2E3F4A5B6C7D8E9F0A1B2",
    "a3f5c7e9b1d2f4a6c8e0b2d4f6a8c0e2b4d6f8a0c2e4b6d8f0a2c4e6b8d0f2a4",
    "8f7e6d5c4b3a29180f1e2d3c4b5a69788f7e6d5c4b3a29180f1e2d3c4b5a6978",
    "7d9f8e6c5b4a3d2e1f0c9b8a7d6e5f4c3b2a1d0e9f8c7b6a5d4e3f2c1b0a9d8e",
    "Zx8Kp2Nq7Lm4Wt9Rv3Yb6Hc1Jd5Fg0SaZx8Kp2Nq7Lm4W",
    "Qw3rTy7uIo9pAs2dFg5hJk8lZx1cVb4nMq6wEr0tYu",
    "mK9$pL2#nR5@vT8!xW3%zB6^cF1&gH4*jN7",
    "Gh7$kL9@mN3!pQ5#rS8%tU2^vW6&xY1*zA4",
    "eX4mpl3S3cr3tK3yTh4tL00ksR4nd0m",
    "RANDOM_STRING_1234567890_ABCDEFGHIJ",
    "f3a1b9c7d5e2f8a4b6c0d1e3f5a7b9c2d4e6f8a0b1c3d5e7f9a2b4c6d8e0f1a3",
)

# Published: one of each kind of place.
plant(
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",
    "3cfa76ef14937c1c0ea519f8fc057a80fcd04a7420f8e8bcd0a7567c272e007b",
    "a-string-secret-at-least-256-bits-long",
    "your-256-bit-secret",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
    "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=",
    "mBC5v1sOKVvbdEitdSBenu59nfNfhwkedkJVNabosTw=",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "base64:2fl+Ktvkfl+Fuz4Qp/A75G2RTiWVA/ZoKZvp6fiiM10=",
    "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "django-insecure-!v2q@wove10@=x1m8#s&da5xi!9+(1q2)dpfy-51_n2_4ozlq9",
    "DYhG93b0qyJfIxfs2guVoUubWwvniR2G0FgaC9mi",
    "SW2YcwTIb9zpOOhoPsMm",
    "minioadmin",
)
