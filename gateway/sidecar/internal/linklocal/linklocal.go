// Package linklocal lets Tailscale use IPv4 where the only address is a
// link-local one (169.254.0.0/16), as in containers of some clouds.
//
// Tailscale takes such an address for unusable, except on Azure App Service and
// AWS Lambda: elsewhere it never learns an IPv4 endpoint, takes IPv4 for broken
// and rebinds its sockets every 25 seconds while there is traffic, which cuts the
// relays' connections (tailscale issues 18110 and 19791). Three variables make it
// take this process for one of Azure App Service.
package linklocal

import (
	"net"
	"net/netip"
)

// Mode is what the operator wants.
type Mode string

const (
	Auto Mode = "auto"
	On   Mode = "on"
	Off  Mode = "off"
)

// State is what came of it.
type State string

const (
	// Applied: link-local IPv4 counts as usable.
	Applied State = "on"
	// NotApplied: not wanted, or not needed.
	NotApplied State = "off"
	// Hidden: wanted, but the platform is recognised as another one first, so that
	// the variables would change nothing.
	Hidden State = "hidden"
)

// variables are what Tailscale's hostinfo looks at for Azure App Service.
var variables = []string{"APPSVC_RUN_ZIP", "WEBSITE_STACK", "WEBSITE_AUTH_AUTO_AAD"}

// platform is one that Tailscale recognises by its variables.
type platform []string

var (
	lambda = platform{"AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_RUNTIME_API"}
	azure  = platform(variables)
	// recognisedBefore are looked for before Azure App Service: Knative (Cloud
	// Run's own container with the port) and Heroku.
	recognisedBefore = []platform{
		{"K_REVISION", "K_CONFIGURATION", "K_SERVICE", "PORT"},
		{"PORT", "DYNO"},
	}
)

func (p platform) in(getenv func(string) string) bool {
	for _, name := range p {
		if getenv(name) == "" {
			return false
		}
	}
	return true
}

// Decide says whether the variables should be set, from the addresses of the
// interfaces that are up.
func Decide(mode Mode, addrs []netip.Addr, getenv func(string) string) State {
	wanted := mode == On || mode == Auto && IPv4(addrs) == "link-local"
	switch {
	case !wanted, lambda.in(getenv), azure.in(getenv):
		return NotApplied
	}
	for _, other := range recognisedBefore {
		if other.in(getenv) {
			return Hidden
		}
	}
	return Applied
}

// IPv4 tells what the addresses offer: "usable", "link-local" or "none".
func IPv4(addrs []netip.Addr) string {
	best := "none"
	for _, addr := range addrs {
		addr = addr.Unmap()
		switch {
		case !addr.Is4() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast():
		case addr.IsLinkLocalUnicast():
			best = "link-local"
		default:
			return "usable"
		}
	}
	return best
}

// Apply decides and sets the variables. It must run before anything of Tailscale
// asks for the platform, because the answer is remembered.
func Apply(mode Mode, addrs []netip.Addr, getenv func(string) string, setenv func(name, value string) error) (State, error) {
	state := Decide(mode, addrs, getenv)
	if state != Applied {
		return state, nil
	}
	for _, name := range variables {
		if err := setenv(name, "meshlink"); err != nil {
			return NotApplied, err
		}
	}
	return state, nil
}

// Addrs returns the addresses of the interfaces that are up.
func Addrs() ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, one := range interfaces {
		if one.Flags&net.FlagUp == 0 {
			continue
		}
		nets, err := one.Addrs()
		if err != nil {
			return nil, err
		}
		for _, each := range nets {
			if prefix, err := netip.ParsePrefix(each.String()); err == nil {
				addrs = append(addrs, prefix.Addr())
			}
		}
	}
	return addrs, nil
}
