// net/http on the socket that systemd, or `phalanx run`, has opened. SIGTERM: what is under way is finished.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Descriptors 0, 1 and 2 are standard; inherited sockets follow.
const firstInherited = 3

func inherited() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) || os.Getenv("LISTEN_FDS") == "" {
		return nil, fmt.Errorf("no inherited socket: LISTEN_FDS and LISTEN_PID say so")
	}
	return net.FileListener(os.NewFile(firstInherited, "inherited"))
}

// ready tells whoever started us, if it wants to know.
func ready() {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if socket, err := net.Dial("unixgram", path); err == nil {
		fmt.Fprint(socket, "READY=1")
		socket.Close()
	}
}

func main() {
	listener, err := inherited()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "hello from %d\n", os.Getpid())
	})}
	ended := make(chan struct{})
	go func() {
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		<-asked
		patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		server.Shutdown(patience)
		close(ended)
	}()
	ready()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}
