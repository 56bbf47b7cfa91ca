// Every text that a person reads. Functions where a number or a name comes in.

const integers = new Intl.NumberFormat("en");
const decimals = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percents = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0, roundingMode: "floor" });

export const whole = (number) => integers.format(number);
export const fixed = (number) => decimals.format(number === 0 ? 0 : number).replace("-", "\u2212");
const percent = (share) => percents.format(share);
const collator = new Intl.Collator("en", { numeric: true });

/** Which of two titles comes first. */
export const byTitle = (left, right) => collator.compare(left.title, right.title);

const superscript = (number) =>
  [...String(number)].map((digit) => "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[digit]).join("");
const some = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;

export const t = {
  skip: "Skip to the content",
  brand: "mfchain",
  title: (view, chain) => (chain ? `${view} \u00b7 ${chain}` : view),
  views: "Views",
  view: { rate: "Rate and predict", watch: "Watch" },
  theme: { label: "Colours", auto: "Auto", light: "Light", dark: "Dark" },

  connection: {
    connecting: "Connecting to the node\u2026",
    open: "Connected",
    live: (number) => `Block ${whole(number)}`,
    lost: "The node is away. The page shows what it last said. ",
    again: (seconds) => `Trying again in ${some(seconds, "second", "seconds")}.`,
    now: "Trying again\u2026",
    refused:
      "The node answers, but lets no page of this address call it. Open the page by the node\u2019s IP address, or start " +
      "the node with --rpc-cors and this address.",
    retry: "Try now",
    back: "Connected again.",
    otherChain: "The node has another chain now. The page starts over.",
  },

  rate: {
    heading: "Rate and predict",
    search: "Search the catalogue",
    searchPlaceholder: "Search by title",
    sort: "Order",
    sorts: { id: "As registered", title: "By title", ratings: "Most rated", best: "Best guess", sure: "Surest guess" },
    only: "Show",
    filters: { all: "Everything", rated: "Rated by me", unrated: "Not rated by me" },
    found: (shown, total) =>
      shown === total ? some(total, "item", "items") : `${whole(shown)} of ${some(total, "item", "items")}`,
    more: (left) => `Show more (${whole(left)} left)`,
    none: "Nothing in the catalogue has that in its title.",
    noneFiltered: "There is nothing to show here yet.",
    empty: "The catalogue is empty. Add the first title below.",
    first: (count) => `Only the first ${whole(count)} items are shown.`,
    catalogue: "Catalogue",
    ratings: (count) => (count === 0 ? "no ratings" : some(count, "rating", "ratings")),
    choose: (title) => `Your rating of ${title}`,
    undo: "Undo",
    undoOf: (title) => `Undo your rating of ${title}`,
    add: "Add a title",
    addLabel: "Title of the new item",
    addButton: "Add",
  },

  guess: {
    // How sure a lean is: |z| is the distance of the mean from the middle in standard deviations.
    words: {
      none: "Could go either way",
      up: ["Leans to the upper side", "Probably high", "Very likely high"],
      down: ["Leans to the lower side", "Probably low", "Very likely low"],
      like: ["Leans to a like", "Probably a like", "Very likely a like"],
      dislike: ["Leans to a dislike", "Probably a dislike", "Very likely a dislike"],
    },
    interval: (mean, low, high) => `${mean}, 90% between ${low} and ${high}`,
    short: (low, high) => `90%: ${low} to ${high}`,
    label: (title, mean, low, high) =>
      `Prediction for ${title}: ${mean}, with 90% certainty between ${low} and ${high}`,
  },

  detail: {
    close: "Close",
    prediction: (name) => `What ${name} would give it`,
    facts: (mine, theirs) =>
      `From ${some(mine, "rating", "ratings")} of this account and ${some(theirs, "rating", "ratings")} of this item.`,
    exact: "In the chain, exactly",
    mean: "Mean",
    deviation: "Standard deviation, noise included",
    interval: "90% interval",
    raw: (bits) => `Mean \u00b7 variance, in 1/2${superscript(bits)}`,
    at: "At block",
    canonical: "This is the canonical model of all ratings: every node that has them computes the same bits.",
    provisional: "Corrected for the newest ratings; the next epoch learns it anew.",
    similar: "Liked in the same way",
    noSimilar: "No other item yet.",
    similarity: (value) => `similarity ${fixed(value)}`,
    watch: "Watch what the chain believes of it",
  },

  recommend: {
    heading: (name) => `For ${name}`,
    orders: { mean: "Best guess", optimistic: "Explore", pessimistic: "Play safe" },
    explain: {
      mean: "Highest expected rating.",
      optimistic: "Could turn out very well: high expectation plus one standard deviation.",
      pessimistic: "Unlikely to disappoint: high expectation less one standard deviation.",
    },
    none: "Everything is rated already.",
    order: "Recommend by",
  },

  mine: {
    heading: "Your ratings",
    none: "None yet. Rate something, and every guess on this page moves.",
    more: (count) => `and ${whole(count)} more: show \u201cRated by me\u201d`,
  },

  account: {
    choose: "Choose an account",
    current: "Account: ",
    heading: "Who are you?",
    intro: "Ratings are signed in this browser. The key never leaves it.",
    dev: "Development accounts",
    devNote: "Everybody knows their keys: for trying things out.",
    local: "Accounts of this browser",
    localNote: "Kept in this browser only, not encrypted. Write the phrase down.",
    wallet: "Wallet extension",
    walletNote: "polkadot{.js}, Talisman, SubWallet and others: they keep the key and ask you for each signature.",
    connect: "Show its accounts",
    connecting: "Asking the wallet\u2026",
    noWallet: "No wallet extension answers in this browser. Install one, or make an account here.",
    noWalletAccounts: "The wallet shares no account with this page. Allow it in the wallet\u2019s own window.",
    make: "Make an account",
    restore: "Restore from a phrase",
    name: "Name",
    phrase: "Secret phrase",
    phraseHint: "12 to 24 words; a derivation path like //work may follow.",
    wrongPhrase: "That is no secret phrase: a word is wrong, missing or out of place.",
    already: "That account is here already.",
    made: (name) => `${name} is ready. This is its phrase, the only way to have it elsewhere:`,
    written: "I have written it down",
    create: "Make it",
    restoreDo: "Restore",
    cancel: "Cancel",
    export: "Show phrase",
    exportOf: (name) => `Show phrase of ${name}`,
    hide: "Hide phrase",
    hideOf: (name) => `Hide phrase of ${name}`,
    remove: "Remove",
    removeOf: (name) => `Remove ${name} from this browser`,
    removeSure: (name) => `Remove ${name}? Without its phrase it is gone for good.`,
    removeDo: "Yes, remove it",
    defaultName: (number) => `Account ${number}`,
    close: "Close",
    noStorage: "This browser keeps nothing for pages (private mode?): the account is gone when the page closes.",
  },

  send: {
    rating: (title, label) => `${title}: ${label}`,
    retract: (title) => `${title}: rating taken back`,
    register: (title) => `New item: ${title}`,
    signing: "Signing\u2026",
    wallet: "Waiting for your wallet\u2026",
    sent: "On its way into a block\u2026",
    inBlock: (number) => `In block ${whole(number)}`,
    failed: "Not done",
    dismiss: "Dismiss",
    lost: "The node went away before it said whether this is in a block. The page shows what is true once it is back.",
    slow: "No block has taken it for a while. The node may be overloaded, or no producer is running.",
    away: "The node is away. Try again when it is back.",
    dropped: (status) =>
      status === "usurped"
        ? "Another transaction of this account took its place."
        : `The node let go of it (${status}). Try again.`,
    reasons: {
      "Transaction is outdated": "Another transaction of this account came first. Try again.",
      "Transaction will be valid in the future": "An earlier transaction of this account is missing. Try again.",
      "Transaction has a bad signature":
        "The signature does not fit the chain. Reload the page: it may be of another version than the node.",
      "Transaction has an ancient birth block": "It took too long to sign. Try again.",
      "Transaction would exhaust the block limits": "The blocks are full at the moment. Try again in a while.",
    },
    codes: {
      1012: "The node has just refused the same transaction. Wait a moment, then try again.",
      1013: "The node has this transaction already.",
      1014: "Another transaction of this account is waiting. Try again once it is in a block.",
      1016: "The node\u2019s pool is full. Try again in a while.",
      8005: "The node is not ready yet. Try again in a while.",
      8006: "That was too fast for this node. Try again in a moment.",
    },
    errors: {
      ItemDoesNotExist: "The chain has no such item.",
      RatingOutOfRange: "The rating is not on this chain\u2019s scale.",
      NotRated: "This account has no rating of the item any more.",
      TooManyRatings: "This account has as many ratings as the chain allows. Take one back first.",
      TitleTooLong: "The title is too long for the chain. Choose a shorter one.",
      TooManyItems: "The chain takes no more items.",
    },
    other: (message) => `The node refused it: ${message}`,
    cancelled: "The wallet did not sign it.",
  },

  watch: {
    heading: "Watch the chain learn",
    block: "Best block",
    version: (version) => `node version ${version}`,
    finalized: "Finalized",
    lag: (count) => (count === 0 ? "no lag" : some(count, "block behind", "blocks behind")),
    ratings: "Ratings",
    ratingsBy: (users, items) => `${some(users, "account", "accounts")}, ${some(items, "item", "items")}`,
    epoch: "Epoch",
    canonical: "canonical model",
    since: (count) => `${some(count, "rating", "ratings")} since; next epoch pending`,
    peers: "Peers",
    alone: "a chain of its own",
    syncing: "catching up",
    inSync: "in step",
    noPeers: "looking for others",
    pool: "Pool",
    poolNote: "waiting for a block",
    digest: "Model digest",
    digestNote: "Nodes with the same ratings have the same digest.",
    noDigest: "The next epoch tells it.",

    blocks: "Blocks",
    noBlocks: "No block yet. The chain makes one as soon as somebody rates.",
    by: (author) => `by ${author}`,
    extrinsics: (count) => some(count, "transaction", "transactions"),
    quiet: "no ratings",
    moreRatings: (count) => `and ${some(count, "more rating", "more ratings")}`,
    skipped: (count) => some(count, "block went by unread", "blocks went by unread"),
    did: { rate: "rated", retract: "took back the rating of", register: "added", predict: "asked about" },
    item: (number) => `item ${number}`,

    ring: "Ring of producers",
    turn: (name) => `${name} has the next turn`,
    finality: (epoch, justified, finalized) =>
      `Epoch ${whole(epoch)}: justified ${whole(justified)}, final ${whole(finalized)}.`,
    queue: (count) => (count === 0 ? "" : `${some(count, "account waits", "accounts wait")} to join.`),
    slot: (number) => `slot ${whole(number)}`,
    missed: (count) => `missed ${some(count, "turn", "turns")}`,
    voter: "votes on finality",
    ringLabel: (count) => `${some(count, "producer takes", "producers take")} turns`,

    map: "Map of items",
    mapNote: (name) =>
      `Near means rated alike. Two principal components of what the chain knows of each item; colour is what ${name} would give.`,
    mapLabel: (count) => `${some(count, "item", "items")} placed by two principal components of their vectors`,
    mapEmpty: "The map begins with the first ratings.",
    mapFew: (shown, total) => `The ${whole(shown)} most rated of ${whole(total)} items.`,
    explained: (share) => `These two directions hold ${percent(share)} of what tells items apart.`,

    timeline: "What the chain believes of",
    timelineNote: "How much better or worse than usual the item is rated: mean and 90% band, block by block.",
    timelineLabel: (title, mean, low, high) => `${title} at the newest block: ${mean}, 90% between ${low} and ${high}`,
    timelineBack: "Reading older blocks\u2026",
    timelineNow: (mean, low, high, count) =>
      `${mean} now, 90% between ${low} and ${high}, from ${some(count, "rating", "ratings")}`,
    rateIt: "Rate it",
    timelineRatings: (count) => some(count, "rating", "ratings"),
  },
};
