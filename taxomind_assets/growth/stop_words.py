"""Function words of ten languages: they name no group of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

_BY_LANGUAGE: Final = {
    "en": "a about above after again against all also am an and any are aren as at be because been before being below "
    "between both but by can cannot could couldn did didn do does doesn doing don down during each ever few for from "
    "further get gets give go got had hadn has hasn have haven having he her here hers him his how however i if in "
    "into is isn it its just know let like ll made make many may me might mine more most much must mustn my need "
    "needs never no nor not now of off often on once one only or other our ours out over own per please put quite "
    "rather re same see shall she should shouldn since so some still such take than that the their theirs them then "
    "there these they this those through thus to too two under until up upon us use used using ve very via want wants "
    "was wasn way we well were weren what whats when where whether which while who whole whom whose why will with "
    "within without won would wouldn yes yet you your yours tell find",
    "fr": "ai ainsi alors après au aucun aussi autre aux avant avec avez avoir c car ce cela ces cet cette ceux chaque chez "
    "comme comment d dans de des donc du elle elles en encore entre est et eu été être fait font ici il ils j je l la "
    "le les leur leurs lors lui m ma mais me mes moi moins mon même n ne ni nos notre nous on ont ou où par pas "
    "pendant peu peut plus pour qu quand que quel quelle qui s sa sans se selon ses si son sont sous sur ta te tes "
    "toi ton tous tout toute toutes très tu un une vers vos votre vous y à",
    "es": "a al algo ante antes aquí así aunque bajo bien cada casi como con contra cual cuando de del desde donde dos e el "
    "él ella ellas ellos en entre era es esa ese eso esta está este esto fue ha había han hasta hay la las le les lo "
    "los me mi más mucho muy nada ni no nos nosotros o otra otro otros para pero poco por porque que qué quien se "
    "según ser si sí sin sobre son su sus también tan tanto te tiene todo todos tu un una uno unos ya yo",
    "de": "aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist da damit dann "
    "das dass dem den der des dessen die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem "
    "einen einer eines er es etwas euch für gegen gibt hat hatte haben hier hin ich ihm ihn ihnen ihr ihre ihrem "
    "ihren im in ist ja jede jeder jedes jetzt kann kein keine können man mehr mein meine mich mir mit muss nach "
    "nicht noch nur ob oder ohne sehr sein seine sich sie sind so sondern über um und uns unser unter vom von vor war "
    "waren was weil welche wenn wer werden wie wieder will wir wird wo wurde zu zum zur zwischen",
    "it": "a ad agli ai al alla alle allo anche ancora avere c che chi ci come con contro così da dagli dai dal dalla dalle "
    "de degli dei del della delle dello di dove e è ed era essere fra gli ha hanno i il in io l la le lei li lo loro "
    "lui ma me mi mia mio molto ne negli nei nel nella nelle no noi non nostro o ogni per perché più poi possono può "
    "quale quando quella quello questa queste questi questo qui se senza si sia sono su sua sui sul sulla suo tra tu "
    "tutti tutto un una uno vi voi",
    "pt": "a ao aos as até com como da das de dela dele do dos e é ela ele eles em entre era essa esse esta está este eu "
    "foi há isso isto já lhe mais mas me mesmo meu minha muito na não nas nem no nos nós o os ou para pela pelo por "
    "porque quando que quem se sem ser seu sua são só também te tem ter um uma você",
    "nl": "aan al alle als ander bij dan dat de der deze die dit doch doen door een en er ge geen had heb hebben heeft hem "
    "het hier hij hoe hun ik in is ja je kan kon maar me meer men met mij mijn moet na naar niet niets nog nu of om "
    "omdat onder ons ook op over te tegen toch toen tot u uit van veel voor want waren was wat werd wie wij wil "
    "worden wordt zal ze zich zij zijn zo zonder",
    "pl": "a aby ale bardzo bez być co czy dla do go i ich ile im ja jak jako je jego jej jest już każdy kiedy kto która "
    "które który lub ma mi mnie może na nad nie niż o od oraz po pod przed przez przy się są ta tak także tam te tego "
    "tej ten też to tu tylko tym u w we więc wszystko z za ze że",
    "sv": "alla att av blev bli bort både de dem den denna deras dess det detta dig din du där då efter eller en er ett "
    "från för ha hade han har henne här i icke ingen inte jag ju kan kom kunde man med mellan men mig min mot mycket "
    "ni nu när någon något och om oss på samma sedan sig sin skall skulle som så till under upp ut utan vad var vara "
    "vid vill vår än är över",
    "ru": "без более бы был была были было быть в вам вас весь во вот все всё вы где да для до его ее её если есть еще ещё "
    "же за и из или им их к как какой ко когда кто ли либо мне может мы на над не него нет ни но ну о об он она они "
    "оно от по под при с со так также такой там те тем то того тоже той только том ты у уже чем что чтобы эта эти это "
    "я",
}

_SETS: Final = {language: frozenset(words.split()) for language, words in _BY_LANGUAGE.items()}
_LISTS: Final = Counter(word for words in _SETS.values() for word in words)
#: Words that function in one language only; they tell which languages texts are in.
_EXCLUSIVE: Final = {language: frozenset(word for word in words if _LISTS[word] == 1) for language, words in _SETS.items()}
#: Different exclusive words that must occur, and their share of those of the language that has most.
_FEWEST: Final = 2
_SHARE: Final = 0.3


def stop_words(words: Collection[str]) -> frozenset[str]:
    """The function words of the languages that texts are in ("car" is one in French, and none in English).

    Args:
        words: the different words of the texts, without case.
    """
    known = frozenset(words)
    found = {language: len(known & own) for language, own in _EXCLUSIVE.items()}
    least = max(_FEWEST, _SHARE * max(found.values()))
    return frozenset().union(*(_SETS[language] for language, count in found.items() if count >= least))
