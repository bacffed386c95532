"""Words and runs that guessing programs try first; a password must not be one of them with small changes."""

COMMON = frozenset(
    """
    123456 1234567 12345678 123456789 1234567890 12345678910 123123 123321 123456a 112233 121212 131313 159753 147258
    147258369 654321 666666 696969 777777 888888 987654321 0987654321 000000 111111 11111111 1q2w3e 1q2w3e4r 1q2w3e4r5t
    1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc zaq12wsx qazwsx qazwsxedc qwe123 qwer1234 qweasd qweasdzxc qwerty qwerty123
    qwerty12345 qwertyui qwertyuiop qwertyuiop123 asdasd asdfgh asdfghjk asdfghjkl asdf1234 zxcvbn zxcvbnm zxcvbnm123
    qwertz qwertzuiop azerty azertyuiop abc123 abcd1234 abcdef abcdefg abcdefgh a1b2c3 a1b2c3d4 aa123456 abc12345
    password passwort passw0rd p4ssw0rd password1 password12 password123 password1234 passwords mypassword thepassword
    newpassword yourpassword passwordpassword passphrase correcthorsebatterystaple admin admin123 admin1234
    administrator adminadmin root rootroot toor superuser superadmin system sysadmin manager operator master default
    guest user user1234 username test test123 testtest testing tester login logmein letmein letmein123 letmeinnow
    welcome welcome1 welcome123 hello hello123 hellohello helloworld changeme changeme123 changethis change secret
    secret123 secrets topsecret private access trustno1 whatever nothing unknown temporary temppass temp1234 server
    docker container kubernetes orca orcaorca orcapanel orcaadmin linux ubuntu debian windows computer internet network
    database postgres postgresql mysql oracle cisco google facebook microsoft apple samsung amazon iloveyou iloveyou1
    ilovegod iloveme ilovemyself loveyou lovely loveme forever family mother father daddy babygirl baby princess
    queen king prince angel angels jesus jesuschrist blessed heaven freedom liberty america american england london
    paris berlin monkey dragon tiger lion eagle falcon panther dolphin butterfly elephant kitty puppy football
    soccer baseball basketball hockey tennis golf chelsea liverpool arsenal barcelona realmadrid manchester
    manchesterunited yankees cowboys steelers lakers superman batman spiderman wolverine ironman pokemon pikachu naruto
    starwars startrek matrix gandalf merlin harrypotter minecraft fortnite playstation xbox360 nintendo gaming gamer
    sunshine rainbow flower summer winter spring autumn january february march april october november december monday
    friday sunday shadow phantom ninja warrior killer hunter ranger rocket thunder lightning mustang ferrari porsche
    mercedes corvette harley yamaha chocolate cookie banana orange cherry pepper cheese coffee whiskey purple yellow
    silver golden diamond crystal jordan michael jennifer jessica ashley amanda nicole michelle andrew daniel joshua
    anthony charlie thomas robert william george matthew christopher alexander elizabeth samantha victoria maggie
    """.split()  # noqa: SIM905 - a word list reads better as text
)
"""Common passwords in lower case, as they are compared."""

RUNS = (
    "01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p",
)  # fmt: skip
"""Rows of keyboards and of the alphabet; a password that is a part of one, in either direction, is refused."""
