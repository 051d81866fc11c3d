package linklocal

import (
	"net/netip"
	"os"
	"testing"

	"tailscale.com/hostinfo"
)

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func TestTheWorkaroundIsUsedOnlyWhereLinkLocalIsAllThereIsAndItCanHelp(t *testing.T) {
	cloud := addrs("127.0.0.1", "::1", "169.254.8.1", "fddf:3978:feb1:d745::c001")
	knative := map[string]string{"K_REVISION": "r", "K_CONFIGURATION": "c", "K_SERVICE": "s", "PORT": "8080"}
	for _, test := range []struct {
		name  string
		mode  Mode
		addrs []netip.Addr
		env   map[string]string
		want  State
	}{
		{"only a link-local address", Auto, cloud, nil, Applied},
		{"a sidecar on Cloud Run has no PORT", Auto, cloud, map[string]string{"K_REVISION": "r", "K_CONFIGURATION": "c", "K_SERVICE": "s"}, Applied},
		{"a private address besides", Auto, append(addrs("10.0.0.7"), cloud...), nil, NotApplied},
		{"a mapped private address besides", Auto, append(addrs("::ffff:10.0.0.7"), cloud...), nil, NotApplied},
		{"no IPv4 at all", Auto, addrs("127.0.0.1", "2001:db8::1"), nil, NotApplied},
		{"loopback alone", Auto, addrs("127.0.0.1"), nil, NotApplied},
		{"switched on with a private address", On, addrs("10.0.0.7"), nil, Applied},
		{"switched off", Off, cloud, nil, NotApplied},
		{"taken for Knative first", Auto, cloud, knative, Hidden},
		{"taken for Knative first, switched on", On, cloud, knative, Hidden},
		{"taken for Heroku first", Auto, cloud, map[string]string{"PORT": "1", "DYNO": "web.1"}, Hidden},
		{"Knative, but nothing is wanted", Auto, addrs("10.0.0.7"), knative, NotApplied},
		{"Lambda needs nothing", Auto, cloud, map[string]string{
			"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1",
			"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_RUNTIME_API": "a"}, NotApplied},
		{"Azure needs nothing", Auto, cloud, map[string]string{
			"APPSVC_RUN_ZIP": "x", "WEBSITE_STACK": "x", "WEBSITE_AUTH_AUTO_AAD": "x"}, NotApplied},
	} {
		if got := Decide(test.mode, test.addrs, func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTailscaleTakesTheProcessForOneThatMayUseLinkLocal(t *testing.T) {
	for _, name := range []string{"PORT", "AWS_LAMBDA_RUNTIME_API", "APPSVC_RUN_ZIP", "WEBSITE_STACK", "WEBSITE_AUTH_AUTO_AAD"} {
		t.Setenv(name, "") // and put back after the test
	}
	state, err := Apply(Auto, addrs("127.0.0.1", "169.254.8.1"), os.Getenv, os.Setenv)
	if err != nil || state != Applied {
		t.Fatalf("%s, %v, want %s", state, err, Applied)
	}
	if got := hostinfo.GetEnvType(); got != hostinfo.AzureAppService {
		t.Errorf("Tailscale takes the process for %q, want %q", got, hostinfo.AzureAppService)
	}
}

func TestTheInterfacesOfThisMachineAreRead(t *testing.T) {
	list, err := Addrs()
	if err != nil || len(list) == 0 {
		t.Errorf("%v, %v, want at least loopback", list, err)
	}
}
