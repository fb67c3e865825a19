package passkey

import (
	"cmp"
	"strings"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
)

// Name suggests a name for a passkey: the provider or model that its AAGUID claims (good enough for a label, and for
// nothing else), or else "Security key" or "Passkey" by attachment, with the system if agent names one ("Firefox on
// macOS"; agent may be empty).
func Name(aaguid []byte, attachment, agent string) string {
	if name := Provider(aaguid); name != "" {
		return name
	}
	if attachment == "cross-platform" {
		return "Security key"
	}
	if _, system, found := strings.Cut(agent, " on "); found && system != "" {
		return "Passkey on " + system
	}
	return "Passkey"
}

// Provider returns the name of the provider or model that an AAGUID claims, or "" if it is not a common one.
func Provider(aaguid []byte) string {
	id, err := uuid.FromBytes(aaguid)
	if err != nil {
		return ""
	}
	return names[id.String()]
}

// ModelName returns the name of a model: a common one's, or else that in the metadata, or else the AAGUID itself.
func (c *Ceremonies) ModelName(aaguid uuid.UUID) string {
	name := Provider(aaguid[:])
	if entry := c.model(idp.Passkey{AAGUID: aaguid[:]}); name == "" && entry != nil {
		name = entry.MetadataStatement.Description
	}
	return cmp.Or(name, aaguid.String())
}

// names are the names of common providers and models. Providers publish their AAGUIDs; Yubico's are at
// https://support.yubico.com/s/article/YubiKey-hardware-FIDO2-AAGUIDs.
var names = map[string]string{
	"fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "iCloud Keychain",
	"dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "iCloud Keychain",
	"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
	"d3452668-01fd-4c12-926c-83a4204853aa": "Microsoft Password Manager",
	"08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
	"9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
	"6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
	"53414d53-554e-4700-0000-000000000000": "Samsung Pass",
	"adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome on Mac",
	"771b48fd-d3d4-4f74-9232-fc157ab0507a": "Edge on Mac",
	"b5397666-4885-aa6b-cebf-e52262a439a2": "Chromium",
	"bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
	"d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
	"531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
	"f3809540-7f14-49c1-a8b3-8f813b225541": "Enpass",
	"0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6": "Keeper",
	"fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
	"eaecdef2-1c31-5634-8639-f1cbd9c00a08": "KeePassDX",
	"b78a0a55-6ef8-d246-a042-ba0f6d55050c": "LastPass",
	"b84e4048-15dc-4dd0-8640-f4f60813c8af": "NordPass",
	"50726f74-6f6e-5061-7373-50726f746f6e": "Proton Pass",
	"de1e552d-db1d-4423-a619-566b625cdc84": "Microsoft Authenticator",
	"90a3ccdf-635c-4729-a248-9b709135078f": "Microsoft Authenticator",

	"cb69481e-8ff7-4039-93ec-0a2729a154a8": "YubiKey 5",
	"ee882879-721c-4913-9775-3dfcce97072a": "YubiKey 5",
	"19083c3d-8383-4b18-bc03-8f1c9ab2fd1b": "YubiKey 5",
	"ff4dac45-ede8-4ec2-aced-cf66103f4335": "YubiKey 5",
	"fa2b99dc-9e39-4257-8f92-4a30d23c4118": "YubiKey 5 NFC",
	"2fc0579f-8113-47ea-b116-bb5a8db9202a": "YubiKey 5 NFC",
	"a25342c0-3cdc-4414-8e46-f4807fca511c": "YubiKey 5 NFC",
	"d7781e5d-e353-46aa-afe2-3ca49f13332a": "YubiKey 5 NFC",
	"662ef48a-95e2-4aaa-a6c1-5b9c40375824": "YubiKey 5 NFC",
	"c5ef55ff-ad9a-4b9f-b580-adebafe026d0": "YubiKey 5Ci",
	"a02167b9-ae71-4ac7-9a07-06432ebb6f1c": "YubiKey 5Ci",
	"24673149-6c86-42e7-98d9-433fb5b73296": "YubiKey 5Ci",
	"73bb0cd4-e502-49b8-9c6f-b59445bf720b": "YubiKey 5 FIPS",
	"c1f9a0bc-1dd2-404a-b27f-8e29047a43fd": "YubiKey 5 FIPS",
	"85203421-48f9-4355-9bc8-8a53846e5083": "YubiKey 5Ci FIPS",
	"d8522d9f-575b-4866-88a9-ba99fa02f35b": "YubiKey Bio",
	"7d1351a6-e097-4852-b8bf-c9ac5c9ce4a3": "YubiKey Bio",
	"83c47309-aabb-4108-8470-8be838b573cb": "YubiKey Bio",
	"f8a011f3-8c0a-4d15-8006-17111f9edc7d": "Security Key by Yubico",
	"b92c3f9a-c014-4056-887f-140a2501163b": "Security Key by Yubico",
	"6d44ba9b-f6ec-2e49-b930-0c8fe920cb73": "Security Key by Yubico",
	"149a2021-8ef6-4133-96b8-81f8d5b7f1f5": "Security Key by Yubico",
	"a4e9fc6d-4cbe-4758-b8ba-37598bb5bbaa": "Security Key by Yubico",
	"e77e3c64-05e3-428b-8824-0cbeb04b829d": "Security Key by Yubico",
	"47ab2fb4-66ac-4184-9ae1-86be814012d5": "Security Key by Yubico",
}
