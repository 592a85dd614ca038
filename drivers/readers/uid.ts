/**
 * Whether a UID of ISO 14443A was made up for this one presentation: four bytes of which the first is 08 (ISO 14443-3,
 * 6.5.4). Phones and passports do so. Such a UID is nobody's card, and the next phone may make up the same.
 */
export function isRandomUid(uid: Uint8Array): boolean {
  return uid.length === 4 && uid[0] === 0x08;
}
