package main

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"time"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

const (
	// keepaliveEvery is how soon a restarted home, which answers pings at once, is
	// found to know nothing of an old connection: it resets it.
	keepaliveEvery = 5 * time.Second
	// keepaliveCount is out of reach: whether silence is death is for PeerWatch to
	// decide, which knows about sleeps and says why.
	keepaliveCount = 1 << 20
)

// keepAlive lets the node's network stack ask the far side every few seconds
// whether it still knows conn. The stack can do it, but its connections do not show
// their endpoint (gvisor, v1.102.3 of Tailscale): it is taken from the private field.
func keepAlive(conn net.Conn) error {
	tcp, ok := conn.(*gonet.TCPConn)
	if !ok {
		return fmt.Errorf("keep-alive: a %T has no endpoint, want a *gonet.TCPConn", conn)
	}
	field := reflect.ValueOf(tcp).Elem().FieldByName("ep")
	if !field.IsValid() || field.Type() != reflect.TypeFor[tcpip.Endpoint]() {
		return errors.New("keep-alive: gonet.TCPConn has no field ep of type tcpip.Endpoint any more")
	}
	endpoint := *(*tcpip.Endpoint)(unsafe.Pointer(field.UnsafeAddr()))
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveEvery), tcpip.KeepaliveIntervalOption(keepaliveEvery)
	for _, option := range []tcpip.SettableSocketOption{&idle, &interval} {
		if err := endpoint.SetSockOpt(option); err != nil {
			return fmt.Errorf("keep-alive: %s", err)
		}
	}
	if err := endpoint.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount); err != nil {
		return fmt.Errorf("keep-alive: %s", err)
	}
	endpoint.SocketOptions().SetKeepAlive(true)
	return nil
}
